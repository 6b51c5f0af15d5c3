// rich_text blocks and table cells: structured text, as typed by people and as
// sent by apps.

import { h } from "./dom.js";
import { channelChip, dateNode, emojiNode, link, memberChip } from "./mrkdwn.js";

const styleTags = { code: "code", bold: "strong", italic: "em", strike: "s", underline: "u" };

function styled(node, style) {
  for (const [name, tag] of Object.entries(styleTags)) if (style?.[name]) node = h(tag, null, node);
  return node;
}

function withBreaks(text) {
  return text.split("\n").flatMap((line, i) => (i ? [h("br"), line] : [line]));
}

function inlineNode(part) {
  switch (part.type) {
    case "text":
      return withBreaks(part.text ?? "");
    case "link":
      return link(part.url, part.text || part.url);
    case "user":
      return memberChip(part.user_id);
    case "channel":
      return channelChip(part.channel_id);
    case "usergroup":
      return h("span", { class: "mention" }, `@${part.usergroup_id}`);
    case "broadcast":
      return h("span", { class: "mention me" }, `@${part.range}`);
    case "emoji":
      return emojiNode(part.name ?? "");
    case "date":
      return dateNode(part.timestamp, part.format ?? "", part.fallback, part.url);
    default:
      return part.text ?? part.fallback ?? "";
  }
}

/** Inline parts as nodes, each in its style. */
const inlines = (parts) => (parts ?? []).map((part) => (part.style ? styled(h("span", null, inlineNode(part)), part.style) : inlineNode(part)));

function piece(element) {
  switch (element.type) {
    case "rich_text_list": {
      const level = Math.min(element.indent ?? 0, 4);
      return h(element.style === "ordered" ? "ol" : "ul", { class: `indent-${level}` }, (element.elements ?? []).map((item) => h("li", null, inlines(item.elements))));
    }
    case "rich_text_quote":
      return h("blockquote", null, inlines(element.elements));
    case "rich_text_preformatted":
      return h("pre", { tabindex: "0" }, (element.elements ?? []).map((part) => part.text ?? part.url ?? ""));
    default:
      return h("div", null, inlines(element.elements));
  }
}

/** Renders the elements of a rich_text block. */
export const richText = (elements) => (elements ?? []).map(piece);
