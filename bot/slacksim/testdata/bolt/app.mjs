// A small app made with Bolt, as its documentation shows. It answers /rotate-key according to its text.
import bolt from '@slack/bolt';

const clientOptions = { slackApiUrl: process.env.SLACK_API_URL };
const heartbeat = Number(process.env.HEARTBEAT_MS); // a reconnect waits as long

const app = new bolt.App({
  token: process.env.SLACK_BOT_TOKEN,
  clientOptions,
  receiver: new bolt.SocketModeReceiver({
    appToken: process.env.SLACK_APP_TOKEN,
    clientPingTimeout: heartbeat,
    serverPingTimeout: heartbeat,
    installerOptions: { clientOptions },
  }),
});

const plain = (text) => ({ type: 'plain_text', text });

const form = {
  type: 'modal',
  callback_id: 'form',
  title: plain('Why'),
  submit: plain('Send'),
  blocks: [
    {
      type: 'input',
      block_id: 'reason',
      label: plain('Reason'),
      element: { type: 'plain_text_input', action_id: 'text' },
    },
  ],
};

const card = [
  { type: 'section', text: { type: 'mrkdwn', text: '*Rotate the key?*' } },
  {
    type: 'actions',
    block_id: 'decision',
    elements: [
      { type: 'button', action_id: 'approve', text: plain('Approve'), value: 'r-1', style: 'primary' },
      { type: 'button', action_id: 'deny', text: plain('Deny'), value: 'r-1' },
    ],
  },
];

const deeds = {
  ack: async ({ ack, rest }) => ack(`Acknowledged ${rest}`),
  respond: async ({ ack, respond }) => {
    await ack();
    await respond({ response_type: 'in_channel', text: 'Responded' });
  },
  form: async ({ ack, client, body }) => {
    await ack();
    await client.views.open({ trigger_id: body.trigger_id, view: form });
  },
  card: async ({ ack, say }) => {
    await ack();
    await say({ text: 'Rotate the key?', blocks: card });
  },
  file: async ({ ack, client, body }) => {
    await ack();
    await client.filesUploadV2({
      channel_id: body.channel_id,
      content: 'user,key\nana,1\n',
      filename: 'stale.csv',
      title: 'Stale keys',
      initial_comment: 'This week',
    });
  },
};

app.command('/rotate-key', async (args) => {
  const [word, ...rest] = args.command.text.split(' ');
  await deeds[word]({ ...args, rest: rest.join(' ') });
});

app.view('form', async ({ ack, view, body, client }) => {
  const reason = view.state.values.reason.text.value;
  if (reason.length < 3) {
    await ack({ response_action: 'errors', errors: { reason: 'Too short' } });
    return;
  }
  await ack();
  await client.chat.postMessage({ channel: body.user.id, text: `Because ${reason}` });
});

app.action('approve', async ({ ack, body, action, client }) => {
  await ack();
  await client.chat.update({
    channel: body.channel.id,
    ts: body.message.ts,
    text: `Approved ${action.value} by <@${body.user.id}>`,
    blocks: [],
  });
});

app.action('deny', async ({ ack, respond }) => {
  await ack();
  await respond({ replace_original: true, text: 'Denied' });
});

app.event('app_home_opened', async ({ event, client }) => {
  await client.views.publish({
    user_id: event.user,
    view: { type: 'home', blocks: [{ type: 'header', text: plain('Your keys') }] },
  });
});

app.message(async ({ message, say }) => {
  await say(`You said ${message.text}`);
});

await app.start();
