// Slack's text markup (mrkdwn) to DOM nodes. It produces elements and text nodes
// only; links lead to http, https and mailto and nowhere else.

import { h } from "./dom.js";
import { emojiOf, withEmoji } from "./emoji.js";
import { fullOf, slackDate } from "./time.js";

/** What a text refers to by id. The workspace fills it from the screen. */
export const directory = {
  me: "",
  members: new Map(),
  groups: new Map(), // handles
  channels: new Map(),
  openChannel: () => {},
};

/** The name a member goes by in the workspace. */
export function nameOf(id) {
  const member = directory.members.get(id);
  return member?.real_name || member?.name || id;
}

const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

/** The address as a link may carry it, or null when its scheme is not allowed. */
export function safeLink(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** A link that opens in a new tab, or its label alone if the address is not allowed. */
export function link(address, label = address) {
  const href = safeLink(address);
  return href ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, label) : h("span", null, label);
}

/** The chip that stands for a mentioned member. */
export function memberChip(id, label) {
  const mine = id === directory.me;
  return h("span", { class: mine ? "mention me" : "mention", title: directory.members.get(id)?.title }, `@${directory.members.has(id) ? nameOf(id) : label || id}`);
}

/** The chip of a channel; a click goes there when the reader can see it. */
export function channelChip(id, label) {
  const channel = directory.channels.get(id);
  const name = `#${channel?.name ?? (label || id)}`;
  if (!channel) return h("span", { class: "mention" }, name);
  return h("button", { type: "button", class: "mention", onclick: () => directory.openChannel(id) }, name);
}

/** A <time> filled from a Slack date template, or the fallback text. */
export function dateNode(seconds, template, fallback, address) {
  const text = slackDate(seconds, template);
  if (text === null) return fallback ?? "";
  const date = new Date(seconds * 1000);
  const node = h("time", { datetime: date.toISOString(), title: fullOf(date) }, text);
  return address ? link(address, node) : node;
}

function reference(body) {
  const bar = body.indexOf("|");
  const target = unescape(bar < 0 ? body : body.slice(0, bar));
  const label = bar < 0 ? "" : unescape(body.slice(bar + 1));
  if (/^@[UW]/.test(target)) return memberChip(target.slice(1), label);
  if (target.startsWith("#")) return channelChip(target.slice(1), label);
  if (target.startsWith("!date^")) {
    const [, seconds, template, address] = target.split("^");
    return dateNode(Number(seconds), template ?? "", label, address);
  }
  if (target.startsWith("!subteam^")) return h("span", { class: "mention" }, label || `@${directory.groups.get(target.slice(9)) ?? target.slice(9)}`);
  if (target.startsWith("!")) return h("span", { class: "mention me" }, `@${label || target.slice(1)}`);
  if (!label && !safeLink(target)) return `<${target}>`;
  return link(target, label || target.replace(/^mailto:/, ""));
}

// In order of the groups: code, reference, bold, italic, strike, emoji, bare address.
const inlinePattern = new RegExp(
  [
    "`([^`\\n]+)`",
    "<([^<>\\n]+)>",
    "(?<![\\w*])\\*(?=[^\\s*])([^\\n]*?[^\\s*])\\*(?![\\w*])",
    "(?<![\\w_])_(?=[^\\s_])([^\\n]*?[^\\s_])_(?![\\w_])",
    "(?<![\\w~])~(?=[^\\s~])([^\\n]*?[^\\s~])~(?![\\w~])",
    ":([a-z0-9_+-]+(?:::skin-tone-\\d)?):",
    "(https?:\\/\\/[^\\s<>|`]*[^\\s<>|`.,;:!?)\\]'\"*_~])",
  ].join("|"),
  "g",
);

function inline(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(inlinePattern)) {
    const [whole, code, ref, bold, italic, strike, emoji, address] = match;
    nodes.push(unescape(text.slice(from, match.index)));
    from = match.index + whole.length;
    if (code !== undefined) nodes.push(h("code", null, flat(code)));
    else if (ref !== undefined) nodes.push(reference(ref));
    else if (bold !== undefined) nodes.push(h("strong", null, inline(bold)));
    else if (italic !== undefined) nodes.push(h("em", null, inline(italic)));
    else if (strike !== undefined) nodes.push(h("s", null, inline(strike)));
    else if (emoji !== undefined) nodes.push(emojiNode(emoji));
    else nodes.push(link(unescape(address)));
  }
  nodes.push(unescape(text.slice(from)));
  return nodes.filter((node) => node !== "");
}

/** The emoji of a name with the name as its title, or the name as typed. */
export function emojiNode(name) {
  const character = emojiOf(name);
  return character ? h("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, character) : `:${name}:`;
}

/** Markup as one plain text: what code shows, and what is announced. */
export function flat(text) {
  const parts = String(text ?? "").split(/<([^<>\n]+)>/);
  return parts.map((part, i) => (i % 2 ? textOf(reference(part)) : unescape(part))).join("");
}

const textOf = (node) => (typeof node === "string" ? node : node.textContent);

const quoted = /^(?:>|&gt;)\s?/;

function lines(text) {
  const out = [];
  let quote = null;
  let open = false;
  for (const line of text.split("\n")) {
    if (quoted.test(line)) {
      if (!quote) out.push((quote = h("blockquote")));
      else quote.append(h("br"));
      quote.append(...inline(line.replace(quoted, "")));
      open = false;
      continue;
    }
    quote = null;
    if (open) out.push(h("br"));
    out.push(...inline(line));
    open = true;
  }
  return out;
}

/** The text of a plain_text object, or of a string, with its emoji. */
export const plain = (text) => withEmoji(typeof text === "string" ? text : (text?.text ?? ""));

/** Renders mrkdwn as a list of nodes. */
export function mrkdwn(text) {
  const parts = String(text ?? "").split(/\n?```\n?([^]+?)\n?```\n?/);
  return parts.flatMap((part, i) => {
    if (i % 2) return h("pre", { tabindex: "0" }, flat(part));
    return part === "" ? [] : lines(part);
  });
}
