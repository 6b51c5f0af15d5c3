// The client of Socket Mode alone, without Bolt: it acknowledges commands with their text, and says what else it saw.
import socketMode from '@slack/socket-mode';
import webApi from '@slack/web-api';

const clientOptions = { slackApiUrl: process.env.SLACK_API_URL };
const heartbeat = Number(process.env.HEARTBEAT_MS); // a reconnect waits as long

const web = new webApi.WebClient(process.env.SLACK_BOT_TOKEN, clientOptions);
const socket = new socketMode.SocketModeClient({
  appToken: process.env.SLACK_APP_TOKEN,
  clientPingTimeout: heartbeat,
  serverPingTimeout: heartbeat,
  clientOptions,
});

socket.on('slash_commands', async ({ body, ack }) => {
  await ack({ text: `Acknowledged ${body.text}` });
});

socket.on('message', async ({ event, ack, retry_num: attempt }) => {
  await ack();
  if (!event.bot_id) {
    await web.chat.postMessage({ channel: event.channel, text: `You said ${event.text}, attempt ${attempt}` });
  }
});

await socket.start();
