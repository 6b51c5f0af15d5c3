// Block Kit's blocks to DOM nodes. See controls.js for the interactive elements
// and for what ctx holds.

import { h, icon } from "./dom.js";
import { control, image } from "./controls.js";
import { directory, mrkdwn, plain } from "./mrkdwn.js";
import { richText } from "./richtext.js";
import { clock, dayKey } from "./time.js";

function text(object) {
  if (!object) return null;
  return object.type === "mrkdwn" ? mrkdwn(object.text) : plain(object).split("\n").flatMap((line, i) => (i ? [h("br"), line] : [line]));
}

function header(block) {
  return h("h3", { class: "block-header" }, plain(block.text));
}

function section(block, ctx) {
  return h(
    "div",
    { class: "block-section" },
    h(
      "div",
      { class: "section-main" },
      block.text && h("div", { class: "section-text" }, text(block.text)),
      block.fields?.length && h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "block-field" }, text(field)))),
    ),
    block.accessory && shownToMe(block.accessory) && h("div", { class: "accessory" }, control(block.accessory, block, ctx)),
  );
}

function context(block) {
  return h("div", { class: "block-context" }, (block.elements ?? []).map((part) => (part.type === "image" ? image(part) : h("span", null, text(part)))));
}

function actions(block, ctx) {
  return h("div", { class: "block-actions" }, (block.elements ?? []).filter(shownToMe).map((element) => control(element, block, ctx)));
}

/** A button may be meant for some people only. */
const shownToMe = (element) => element.visible_to_user_ids?.includes(directory.me) ?? true;

function input(block, ctx) {
  const id = `${ctx.surface}-${block.block_id}`;
  const error = ctx.errors?.[block.block_id];
  const label = plain(block.label);
  const described = [error && `${id}-error`, block.hint && `${id}-hint`].filter(Boolean).join(" ") || null;
  const inner = { ...ctx, label, invalid: Boolean(error), described, quiet: !block.dispatch_action };
  return h(
    "div",
    { class: error ? "block-input invalid" : "block-input" },
    h("div", { class: "input-label" }, label, block.optional && h("span", { class: "optional" }, " (optional)")),
    control(block.element ?? {}, block, inner),
    error && h("p", { class: "input-error", id: `${id}-error` }, icon("warn"), error),
    block.hint && h("p", { class: "input-hint", id: `${id}-hint` }, plain(block.hint)),
  );
}

function picture(block) {
  return h("figure", { class: "block-image" }, block.title && h("figcaption", null, plain(block.title)), image(block));
}

function cell(data, settings, tag) {
  const body = data?.type === "rich_text" ? richText(data.elements) : String(data?.text ?? data?.value ?? "");
  const align = settings?.align ?? (data?.type === "raw_number" ? "right" : "left");
  return h(tag, { class: `align-${align}${settings?.is_wrapped ? " wrapped" : ""}`, scope: tag === "th" ? "col" : null }, body);
}

function table(block) {
  const [head, ...rows] = block.rows ?? [];
  const row = (cells, tag) => h("tr", null, (cells ?? []).map((data, i) => cell(data, block.column_settings?.[i], tag)));
  return h(
    "div",
    { class: "block-table", tabindex: "0", role: "region", "aria-label": plain(block.caption) || "Table" },
    h("table", null, h("thead", null, row(head, "th")), h("tbody", null, rows.map((cells) => row(cells, "td")))),
  );
}

const kinds = {
  header,
  section,
  context,
  actions,
  input,
  table,
  image: picture,
  divider: () => h("hr", { class: "block-divider" }),
  rich_text: (block) => h("div", { class: "block-rich" }, richText(block.elements)),
};

/** Renders one block; a kind this page does not know is named. */
export function renderBlock(block, ctx) {
  const kind = kinds[block.type];
  return kind ? kind(block, ctx) : h("p", { class: "unsupported" }, `(a ${block.type} block is not shown here)`);
}

const waiting = (block, ctx) => [block.accessory, ...(block.elements ?? [])].filter((element) => ctx.pending?.has(element?.action_id)).length;

/** Items for dom.sync, one per block, so that an update rebuilds only what changed. */
export function blockItems(blocks, ctx) {
  return (blocks ?? []).map((block, i) => ({
    key: block.block_id || `#${i}`,
    hash: JSON.stringify([ctx.surface, block, ctx.errors?.[block.block_id], waiting(block, ctx), dayKey(clock.now())]),
    build: () => renderBlock(block, ctx),
  }));
}
