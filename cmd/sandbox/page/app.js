// The sandbox's page: who the reader is, which conversation is open, and the
// loop that reads the state of Slack and AWS and hands it to the panels.

import { mountAWS } from "./aws.js";
import { announce, complain } from "./dom.js";
import { mountFaults } from "./faults.js";
import { mountGuide } from "./guide.js";
import { spoken } from "./messages.js";
import { mountModal } from "./modal.js";
import { directory, nameOf } from "./mrkdwn.js";
import { coalesce, follow, getJSON, postJSON } from "./net.js";
import { mountPeople, unreadOf } from "./people.js";
import { titleOf } from "./sidebar.js";
import { clock, shortDateOf, timeOf } from "./time.js";
import { mountWorkspace } from "./workspace.js";

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const narrow = matchMedia("(max-width: 900px)");

/** Where the reader is. channels keeps each person's open conversation. */
const place = { me: address.get("as") || document.body.dataset.person, channels: new Map(), tab: "messages", thread: "", panel: "slack" };
if (address.has("c")) place.channels.set(place.me, address.get("c"));

const screens = new Map();
const heard = { screen: "", messages: new Set(), notices: new Set(), count: 0 };
let aws = null;
let own = { world: "", applications: [], faults: [] }; // what is neither in Slack nor in AWS

const app = {
  place,
  as: switchTo,
  open: (channel) => openChannel(isApp(channel) ? "app" : channel.id),
  openTab,
  openThread,
  visit,
  say,
  submit: (view, values) => deed("submit", { view: view.id, values }),
  close: closeViews,
  ctx: (surface, state, target) => ({ surface, state, act: (element, block, payload) => act(target, element, block, payload) }),
  use: async (body) => {
    const answer = await postJSON("/aws/use", body);
    await pullAWS();
    return answer;
  },
  move: (application, key) => ownDeed("/apps/switch", { account: application.account, user: application.user, key }),
  fault: (name, on) => ownDeed("/faults", { name, on }),
  post: async (path, body) => {
    const answer = await postJSON(path, body);
    await Promise.all([pullSlack(), pullAWS(), pullOwn()]);
    return answer;
  },
  skip: async (hours) => Boolean((await skipTime(hours)).now),
  person: (role) => personOf(role)?.id,
  name: nameOf,
};

const workspace = mountWorkspace($("slack"), app);
const people = mountPeople($("people"), app);
const modal = mountModal(app);
const panel = mountAWS($("aws"), app);
const guide = mountGuide($("guide"), $("guide-opener"), { ...app, close: closeViewsOf });
const faults = mountFaults($("broken"), $("breaker"), app);

// What a person does.

/** Posts a deed of the chosen person and reads what came of it. */
async function deed(name, body) {
  const answer = await postJSON(`/slack/${name}`, { as: place.me, ...body });
  await pullSlack();
  return answer;
}

/** Types a message or a command. Slack tells of a failed command by itself. */
async function say(text) {
  const before = heard.count;
  const answer = await deed("command", { channel: openedChannel().id, text });
  if (!answer.ok && heard.count === before) complain(answer.error);
  return answer;
}

async function act(target, element, block, payload) {
  const answer = await deed("click", { ...target, block_id: block.block_id ?? "", action_id: element.action_id ?? "", ...payload });
  if (!answer.ok && !shownAsFailed(target)) complain(answer.error);
  return answer.ok;
}

/** Whether the message or view itself already says that the app did not answer. */
function shownAsFailed(target) {
  const screen = screens.get(place.me);
  const message = screen.channels.find((channel) => channel.id === target.channel)?.messages.find((it) => it.ts === target.ts);
  const view = [...screen.views, screen.home].find((it) => it?.id === target.view);
  return Boolean((message ?? view)?.failed);
}

function closeViews(views) {
  return closeViewsOf(place.me, views);
}

async function closeViewsOf(as, views) {
  for (const view of views) await postJSON("/slack/close", { as, view: view.id });
  await pullSlack();
}

/** Does something to what is neither in Slack nor in AWS, and reads what came of it. */
async function ownDeed(path, body) {
  const answer = await postJSON(path, body);
  await Promise.all([pullOwn(), pullAWS()]);
  return answer;
}

function switchTo(id) {
  if (id === place.me) return;
  place.me = id;
  place.thread = "";
  place.tab = "messages";
  remember();
  if (screens.has(id)) draw();
  pullSlack();
}

function openChannel(id) {
  place.channels.set(place.me, id);
  place.thread = "";
  place.tab = "messages";
  show("slack");
  remember();
  draw();
}

function openTab(tab) {
  place.tab = tab;
  place.thread = "";
  draw();
  if (tab === "home") deed("home", {});
}

function openThread(ts) {
  const from = place.thread;
  place.thread = ts;
  draw();
  if (ts) workspace.focusThread();
  else workspace.focusMessage(from);
}

/** Goes to where a step of the guide happens. */
function visit(step) {
  const member = step.who && personOf(step.who);
  if (member) switchTo(member.id);
  if (step.panel === "aws") {
    show("aws");
    return panel.point();
  }
  show("slack");
  const channels = channelsOf(screens.get(place.me));
  const wanted = channels.find((channel) => (step.where === "app" ? isApp(channel) : step.where && channel.name?.includes(step.where)));
  if (wanted) app.open(wanted);
  if (step.draft) workspace.fill(step.draft);
}

function personOf(role) {
  const humans = [...directory.members.values()].filter((member) => !member.is_bot && !member.deleted);
  const approvers = humans.filter((member) => /approv/i.test(member.title ?? ""));
  const approver = approvers[0] ?? humans[1];
  if (role === "approver") return approver;
  if (role === "second") return approvers[1] ?? approver;
  return humans.find((member) => /^ana\b/i.test(nameOf(member.id))) ?? humans.find((member) => member !== approver);
}

async function skip(button, hours) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const answer = await skipTime(hours);
  button.removeAttribute("aria-busy");
  if (!answer.now) complain(answer.error ?? "The clock did not move.");
}

async function skipTime(hours) {
  const answer = await postJSON("/clock/skip", { hours });
  if (!answer.now) return answer;
  setClock(answer.now);
  announce(`It is now ${shortDateOf(clock.now())}.`);
  await Promise.all([pullSlack(), pullAWS(), pullOwn()]);
  return answer;
}

// What is open.

const isApp = (channel) => channel.kind === "im" && channel.with === screens.get(place.me)?.bot;

/** The conversations of a screen, with one for the app even before it wrote. */
function channelsOf(screen) {
  const channels = (screen?.channels ?? []).map((channel) => ({ ...channel, messages: channel.messages ?? [] }));
  const hasApp = !screen?.bot || channels.some((channel) => channel.kind === "im" && channel.with === screen.bot);
  return hasApp ? channels : [...channels, { id: screen.bot, kind: "im", with: screen.bot, unread: 0, messages: [] }];
}

function openedChannel(channels = channelsOf(screens.get(place.me))) {
  const id = place.channels.get(place.me);
  return channels.find((channel) => (id === "app" ? isApp(channel) : channel.id === id)) ?? channels.find((channel) => channel.kind !== "im") ?? channels[0];
}

/** Keeps the person and conversation in the address, so that a tab is a person. */
function remember() {
  const query = new URLSearchParams({ as: place.me });
  const id = place.channels.get(place.me);
  if (id) query.set("c", id);
  history.replaceState(null, "", `?${query}`);
}

function show(name) {
  place.panel = name;
  document.body.dataset.panel = name;
  for (const button of $("panels").children) button.setAttribute("aria-current", String(button.dataset.panel === name));
  if (name === "aws") $("aws-news").hidden = true;
}

// Reading and drawing.

const pullSlack = coalesce(async () => {
  const wanted = place.me;
  try {
    const screen = await getJSON(`/slack/screen?as=${encodeURIComponent(wanted)}`);
    if (wanted !== place.me) return pullSlackLater();
    if (screen.members.length === 0 && wanted !== document.body.dataset.person) return switchTo(document.body.dataset.person);
    screens.set(place.me, screen);
    link(true);
    draw();
    pullOthers();
  } catch {
    link(false);
  }
});

function pullSlackLater() {
  setTimeout(pullSlack);
}

const pullOthers = coalesce(async () => {
  const others = [...directory.members.values()].filter((member) => !member.is_bot && !member.deleted && member.id !== place.me);
  await Promise.all(
    others.map(async ({ id }) => {
      try {
        screens.set(id, await getJSON(`/slack/screen?as=${encodeURIComponent(id)}`));
      } catch {
        screens.delete(id);
      }
    }),
  );
  drawPeople();
  drawGuide();
});

const pullAWS = coalesce(async () => {
  try {
    aws = await getJSON("/aws/state");
    if (aws.now) setClock(aws.now);
    drawAWS();
  } catch {
    link(false);
  }
});

const pullOwn = coalesce(async () => {
  try {
    const [{ applications }, state] = await Promise.all([getJSON("/apps/state"), getJSON("/faults/state")]);
    own = { ...own, applications: applications ?? [], faults: state.faults };
    faults(own.faults);
    drawAWS();
  } catch {
    link(false);
  }
});

function drawAWS() {
  if (!aws) return;
  const changed = panel.render(aws, own.applications);
  if (changed && narrow.matches && place.panel !== "aws") $("aws-news").hidden = false;
  drawGuide();
}

function draw() {
  const screen = screens.get(place.me);
  if (!screen) return;
  directory.me = place.me;
  directory.members = new Map((screen.members ?? []).map((member) => [member.id, member]));
  directory.groups = new Map((screen.groups ?? []).map((group) => [group.id, group.handle]));
  const channels = channelsOf(screen);
  directory.channels = new Map(channels.filter((channel) => channel.kind !== "im").map((channel) => [channel.id, channel]));
  directory.openChannel = openChannel;
  const channel = openedChannel(channels);
  $("team").textContent = screen.team?.name ?? "Workspace";
  if (channel) workspace.render(screen, channels, channel);
  modal(screen.views);
  hear(screen);
  drawPeople();
  if (channel) markRead(channel);
}

function drawPeople() {
  people(place.me, [...directory.members.values()], screens);
  const { loud, quiet } = unreadOf(screens.get(place.me));
  document.title = `${loud ? `(${loud}) ` : quiet ? "• " : ""}${nameOf(place.me)} · Keyturner sandbox`;
  $("slack-news").hidden = !(loud || quiet);
}

const drawGuide = () => guide({ aws, screens, now: clock.now(), world: own.world, applications: own.applications });

/** Says what is new on a screen: messages aloud, notices where they are seen. */
function hear(screen) {
  const first = heard.screen !== screen.me;
  if (first) {
    heard.screen = screen.me;
    heard.messages.clear();
  }
  for (const channel of screen.channels ?? []) {
    for (const message of channel.messages ?? []) {
      const id = `${channel.id}/${message.ts}`;
      if (heard.messages.has(id)) continue;
      heard.messages.add(id);
      if (!first && message.user !== screen.me) announce(`${nameOf(message.user)} in ${titleOf(channel)}: ${spoken(message)}`);
    }
  }
  for (const notice of screen.notices ?? []) {
    const id = `${screen.me}/${notice.at}/${notice.text}`;
    if (heard.notices.has(id)) continue;
    heard.notices.add(id);
    if (first) continue;
    heard.count += 1;
    complain(notice.text);
  }
}

async function markRead(channel) {
  const seen = channel.unread > 0 && channel.id && document.visibilityState === "visible" && place.tab === "messages";
  if (!seen || (narrow.matches && place.panel !== "slack")) return;
  await postJSON("/slack/read", { as: place.me, channel: channel.id });
}

function setClock(now) {
  clock.set(now);
  drawClock();
}

function drawClock() {
  const now = clock.now();
  $("date").textContent = shortDateOf(now);
  $("time").textContent = timeOf(now);
}

function link(up) {
  $("offline").hidden = up;
}

// Starting.

const known = { slack: null, aws: null, sandbox: null };

function onChange(change) {
  if (change.now) setClock(change.now);
  own.world = change.world;
  if (change.sandbox !== known.sandbox) pullOwn();
  if (change.slack !== known.slack) pullSlack();
  if (change.aws !== known.aws) pullAWS();
  known.slack = change.slack;
  known.aws = change.aws;
  known.sandbox = change.sandbox;
}

function onLink(up) {
  link(up);
  if (!up) known.slack = known.aws = known.sandbox = null;
}

for (const button of document.querySelectorAll("[data-skip]")) button.addEventListener("click", () => skip(button, Number(button.dataset.skip)));
for (const button of $("panels").children) {
  button.addEventListener("click", () => {
    show(button.dataset.panel);
    draw();
  });
}
document.addEventListener("visibilitychange", draw);
setInterval(drawClock, 10_000);
setInterval(() => {
  draw();
  drawAWS();
}, 60_000);

show("slack");
await pullSlack();
await Promise.all([pullAWS(), pullOwn()]);
follow(onChange, onLink);
