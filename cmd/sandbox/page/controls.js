// Block Kit's interactive elements. Each function takes (element, block, ctx)
// and returns a node. ctx is what the surface knows:
//   surface  its name for drafts      state    the view's state, if a view
//   pending  action ids not yet acked act      (element, block, payload) => Promise
//   label, invalid, described         set by an input block for its element

import { confirmed } from "./confirm.js";
import { h, icon } from "./dom.js";
import { setDraft, valueOf } from "./forms.js";
import { openMenu } from "./menu.js";
import { directory, mrkdwn, nameOf, plain, safeLink } from "./mrkdwn.js";

/** The name of a control that stays the same when its block is rebuilt. */
const focusName = (element, block) => `${block.block_id ?? ""}/${element.action_id ?? ""}/${element.value ?? ""}`;

const common = (element, block, ctx) => ({
  "data-focus": focusName(element, block),
  "aria-describedby": ctx.described,
  "aria-invalid": ctx.invalid ? "true" : null,
});

function optionText(text) {
  return text?.type === "mrkdwn" ? mrkdwn(text.text) : plain(text);
}

/** Sends an action, once confirmed, and shows on node that it is on its way. */
async function send(node, element, block, ctx, payload) {
  if (node.getAttribute("aria-busy") === "true") return false;
  if (element.confirm && !(await confirmed(element.confirm))) return false;
  node.setAttribute("aria-busy", "true");
  const sent = await ctx.act(element, block, payload);
  node.removeAttribute("aria-busy");
  return sent;
}

function button(element, block, ctx) {
  const style = element.style === "primary" || element.style === "danger" ? element.style : "";
  const busy = ctx.pending?.has(element.action_id);
  const href = element.url && safeLink(element.url);
  const node = h(
    href ? "a" : "button",
    {
      class: `btn ${style}`,
      type: href ? null : "button",
      href,
      target: href && "_blank",
      rel: href && "noopener noreferrer",
      "aria-label": element.accessibility_label,
      "aria-busy": busy && "true",
      "data-focus": focusName(element, block),
    },
    h("span", { class: "btn-text" }, plain(element.text)),
    href && icon("external"),
  );
  node.addEventListener("click", () => send(node, element, block, ctx, { value: element.value ?? "" }));
  return node;
}

function overflow(element, block, ctx) {
  const node = h(
    "button",
    {
      type: "button",
      class: "btn icon-only",
      "aria-label": "More actions",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      "aria-busy": ctx.pending?.has(element.action_id) && "true",
      "data-focus": focusName(element, block),
    },
    icon("dots"),
  );
  const items = (element.options ?? []).map((option) => ({ value: option.value, text: plain(option.text), description: plain(option.description) }));
  node.addEventListener("click", () =>
    openMenu(node, { label: "More actions", groups: [{ items }], onPick: (item) => send(node, element, block, ctx, { selected: item.value }) }),
  );
  return node;
}

function selectGroups(element) {
  const item = (option) => ({ value: option.value, text: plain(option.text), description: plain(option.description) });
  if (element.type === "users_select") {
    const people = [...directory.members.values()].filter((member) => !member.deleted && !member.is_bot);
    return [{ items: people.map((member) => ({ value: member.id, text: nameOf(member.id), description: member.title })) }];
  }
  if (element.option_groups) return element.option_groups.map((group) => ({ label: plain(group.label), items: group.options.map(item) }));
  return [{ items: (element.options ?? []).map(item) }];
}

function select(element, block, ctx) {
  const groups = selectGroups(element);
  const items = groups.flatMap((group) => group.items);
  const text = h("span", { class: "select-text" });
  const node = h(
    "button",
    {
      type: "button",
      class: "select",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      "aria-busy": ctx.pending?.has(element.action_id) && "true",
      ...common(element, block, ctx),
    },
    text,
    icon("chevron"),
  );
  let current = "";
  const show = (value) => {
    current = value;
    const chosen = items.find((item) => item.value === value);
    const shown = chosen?.text ?? (plain(element.placeholder) || "Select an option");
    text.textContent = shown;
    node.classList.toggle("blank", !chosen);
    node.setAttribute("aria-label", [ctx.label, shown].filter(Boolean).join(": "));
  };
  show(valueOf(ctx.surface, block.block_id, element, ctx.state));
  const pick = async (item) => {
    const before = current;
    show(item.value);
    setDraft(ctx.surface, block.block_id, element.action_id, item.value);
    if (ctx.quiet || (await send(node, element, block, ctx, { selected: item.value }))) return;
    show(before);
    setDraft(ctx.surface, block.block_id, element.action_id, before);
  };
  node.addEventListener("click", () => openMenu(node, { label: ctx.label ?? plain(element.placeholder), role: "listbox", groups, current, onPick: pick }));
  return node;
}

function choices(kind, element, block, ctx) {
  const held = valueOf(ctx.surface, block.block_id, element, ctx.state);
  const group = `${ctx.surface}/${block.block_id}/${element.action_id}`;
  const node = h("div", { class: "choices", role: kind === "radio" ? "radiogroup" : "group", "aria-label": ctx.label, "aria-describedby": ctx.described });
  const boxes = (element.options ?? []).map((option) => {
    const checked = kind === "radio" ? held === option.value : held.includes(option.value);
    const box = h("input", {
      type: kind,
      name: group,
      value: option.value,
      checked,
      "aria-invalid": ctx.invalid ? "true" : null,
      "data-focus": `${focusName(element, block)}/${option.value}`,
    });
    node.append(h("label", { class: "choice" }, box, h("span", null, optionText(option.text), option.description && h("small", null, optionText(option.description)))));
    return box;
  });
  node.addEventListener("change", () => {
    const picked = boxes.filter((box) => box.checked).map((box) => box.value);
    const value = kind === "radio" ? (picked[0] ?? "") : picked;
    setDraft(ctx.surface, block.block_id, element.action_id, value);
    if (!ctx.quiet) send(node, element, block, ctx, { selected: value });
  });
  return node;
}

const inputTypes = { email_text_input: "email", url_text_input: "url", number_input: "text", datepicker: "date", timepicker: "time" };

const fieldNames = { datepicker: "Date", timepicker: "Time" };

function textInput(element, block, ctx) {
  const multiline = element.type === "plain_text_input" && element.multiline;
  const node = h(multiline ? "textarea" : "input", {
    class: "field",
    type: multiline ? null : (inputTypes[element.type] ?? "text"),
    rows: multiline && "4",
    inputmode: element.type === "number_input" && "decimal",
    placeholder: plain(element.placeholder),
    maxlength: element.max_length,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": ctx.label ?? (plain(element.placeholder) || fieldNames[element.type] || "Text"),
    ...common(element, block, ctx),
  });
  node.value = valueOf(ctx.surface, block.block_id, element, ctx.state);
  const picker = element.type === "datepicker" || element.type === "timepicker";
  node.addEventListener("input", () => setDraft(ctx.surface, block.block_id, element.action_id, node.value));
  if (picker && !ctx.quiet) node.addEventListener("change", () => send(node, element, block, ctx, { selected: node.value }));
  if (block.dispatch_action && !picker) {
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || multiline) return;
      event.preventDefault();
      send(node, element, block, ctx, { value: node.value });
    });
  }
  return node;
}

/** Where a file is, for who looks at the page. */
export const fileURL = (id) => `/slack/files/${encodeURIComponent(id)}?as=${encodeURIComponent(directory.me)}`;

/** An image of the page's own, inline or uploaded; any other is named, not fetched. */
export function image(element) {
  const src = element.slack_file?.id ? fileURL(element.slack_file.id) : element.image_url ?? "";
  if (/^(data:image\/|\/(?!\/))/.test(src)) return h("img", { class: "picture", src, alt: element.alt_text ?? "" });
  return h("span", { class: "picture stand-in", role: "img", "aria-label": element.alt_text }, icon("image"), h("span", null, element.alt_text));
}

const kinds = {
  button,
  overflow,
  image,
  static_select: select,
  users_select: select,
  radio_buttons: (...args) => choices("radio", ...args),
  checkboxes: (...args) => choices("checkbox", ...args),
  plain_text_input: textInput,
  email_text_input: textInput,
  url_text_input: textInput,
  number_input: textInput,
  datepicker: textInput,
  timepicker: textInput,
};

/** Renders an element, or says that this page cannot. */
export function control(element, block, ctx) {
  const kind = kinds[element.type];
  return kind ? kind(element, block, ctx) : h("span", { class: "unsupported" }, `(${element.type} is not shown here)`);
}
