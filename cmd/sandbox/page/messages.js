// Messages: one message, a list of them with day dividers, and the text of a
// message for screen readers.

import { blockItems, renderBlock } from "./blocks.js";
import { fileURL } from "./controls.js";
import { h, icon } from "./dom.js";
import { directory, flat, mrkdwn, nameOf } from "./mrkdwn.js";
import { avatar } from "./people.js";
import { clock, dayKey, dayLabel, fullOf, timeOf, tsDate } from "./time.js";

/** A message as one line of plain text. */
export const spoken = (message) => flat(message.text || "").replace(/\s+/g, " ").trim() || "a message without text";

const isReply = (message) => Boolean(message.thread_ts) && message.thread_ts !== message.ts;

/** The messages of a channel that are not inside a thread. */
export const topLevel = (messages) => messages.filter((message) => !isReply(message));

/** The first message of a thread and its replies. */
export function threadOf(messages, ts) {
  return {
    parent: messages.find((message) => message.ts === ts),
    replies: messages.filter((message) => isReply(message) && message.thread_ts === ts),
  };
}

function body(message, ctx) {
  if (message.deleted) return h("p", { class: "gone" }, "This message was deleted.");
  return [...said(message, ctx), ...(message.files ?? []).map(fileCard)];
}

function fileCard(file) {
  const url = fileURL(file.id);
  if (/\.png$/.test(file.name)) return h("figure", { class: "block-image" }, h("img", { class: "picture", src: url, alt: file.title || file.name }));
  return h("a", { class: "file", href: url, download: file.name }, icon("file"), h("span", null, h("b", null, file.title || file.name), h("small", null, `${file.name}, ${file.size} bytes`)));
}

function said(message, ctx) {
  if (!message.blocks?.length) return [h("div", { class: "block-section" }, h("div", { class: "section-text" }, mrkdwn(message.text), message.edited && edited()))];
  const tables = message.blocks.filter((block) => block.type === "table");
  const others = message.blocks.filter((block) => block.type !== "table");
  return [...[...others, ...tables].map((block) => renderBlock(block, ctx)), message.edited && edited()];
}

const edited = () => h("span", { class: "edited" }, " (edited)");

function threadButton(message, replies, app) {
  const last = replies.at(-1);
  const count = replies.length || message.reply_count;
  const faces = [...new Set(replies.map((reply) => reply.user))].slice(0, 3);
  return h(
    "button",
    { type: "button", class: "thread-link", "data-focus": `thread/${message.ts}`, onclick: () => app.openThread(message.ts) },
    faces.map((id) => avatar(directory.members.get(id), id, "tiny")),
    h("b", null, count === 1 ? "1 reply" : `${count} replies`),
    last && h("small", null, `Last at ${timeOf(tsDate(last.ts))}`),
  );
}

/** Builds one message. place is {joined, replies, inThread}. */
function build(message, ctx, place, app) {
  const member = directory.members.get(message.user);
  const when = tsDate(message.ts);
  const name = nameOf(message.user);
  const time = h("time", { class: "stamp", datetime: when.toISOString(), title: fullOf(when) }, timeOf(when));
  const head = h("header", null, h("b", { class: "author" }, name), member?.is_bot && h("span", { class: "app-mark" }, "APP"), time);
  const classes = ["message", place.joined && "joined", message.ephemeral && "ephemeral", message.deleted && "deleted"];
  return h(
    "article",
    { class: classes.filter(Boolean).join(" "), tabindex: "-1", "data-ts": message.ts, "aria-label": `${name}, ${timeOf(when)}` },
    h("div", { class: "gutter" }, place.joined ? time : avatar(member, message.user)),
    h(
      "div",
      { class: "message-body" },
      message.ephemeral && h("p", { class: "only-you" }, icon("eye"), "Only visible to you"),
      !place.joined && head,
      h("div", { class: "content" }, body(message, ctx)),
      message.failed && failure(message.failed),
      !place.inThread && (message.reply_count > 0 || place.replies.length > 0) && threadButton(message, place.replies, app),
    ),
  );
}

const failure = (text) => h("p", { class: "failed", role: "alert" }, icon("warn"), text);

function joins(previous, message) {
  if (!previous || previous.user !== message.user || previous.ephemeral || message.ephemeral || previous.deleted) return false;
  return message.ts - previous.ts < 300 && dayKey(tsDate(previous.ts)) === dayKey(tsDate(message.ts));
}

const divider = (label, kind) => h("div", { class: `divider ${kind}`, role: "separator", "aria-label": label }, h("span", null, label));

/**
 * Items for dom.sync: messages with day dividers between them and, before the
 * message newFrom, the mark of what is new. In a thread, replies go on from parent.
 */
export function messageItems(messages, all, channel, app, { newFrom = "", parent = null, inThread = false } = {}) {
  const items = [];
  const today = dayKey(clock.now());
  let previous = null;
  let lastDay = parent && dayKey(tsDate(parent.ts));
  for (const message of messages) {
    const day = dayKey(tsDate(message.ts));
    if (day !== lastDay) {
      const label = dayLabel(tsDate(message.ts));
      items.push({ key: `day/${day}`, hash: label, build: () => divider(label, "day") });
    }
    if (message.ts === newFrom) items.push({ key: "new", hash: "", build: () => divider("New", "new") });
    const place = { joined: joins(previous, message) && message.ts !== newFrom, replies: all.filter((it) => isReply(it) && it.thread_ts === message.ts), inThread };
    const pending = new Set(message.pending ?? []);
    const ctx = { ...app.ctx(`${channel.id}/${message.ts}`, null, { channel: channel.id, ts: message.ts }), pending };
    const replied = place.replies.map((reply) => [reply.ts, reply.user]);
    items.push({
      key: message.ephemeral ? `only/${message.ts}` : message.ts,
      hash: JSON.stringify([message, place.joined, replied, today, directory.members.get(message.user)]),
      build: () => build(message, ctx, place, app),
    });
    previous = message;
    lastDay = day;
  }
  return items;
}

/** The Home tab as items. */
export function homeItems(home, app) {
  const ctx = { ...app.ctx(home.id, home.state, { view: home.id }), pending: new Set(home.pending) };
  const failed = { key: "failed", hash: home.failed, build: () => failure(home.failed) };
  return [...blockItems(home.blocks, ctx), ...(home.failed ? [failed] : [])];
}
