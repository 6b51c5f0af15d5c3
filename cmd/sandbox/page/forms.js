// What a person has typed or chosen in a surface (a message, a modal, the Home
// tab) and not yet sent. It is kept apart from the DOM, by block_id and
// action_id, so that an updated view keeps it as Slack does.

const drafts = new Map();

const draftKey = (surface, blockID, actionID) => JSON.stringify([surface, blockID, actionID]);

/** Notes what an element now holds: a string, or a list for checkboxes. */
export function setDraft(surface, blockID, actionID, value) {
  drafts.set(draftKey(surface, blockID, actionID), value);
}

/** Forgets everything typed in a surface that is gone. */
export function dropDrafts(surface) {
  const head = JSON.stringify([surface]).slice(0, -1);
  for (const key of drafts.keys()) if (key.startsWith(head)) drafts.delete(key);
}

const optionValues = (options) => (options ?? []).map((option) => option.value);

const textKinds = new Set(["plain_text_input", "email_text_input", "url_text_input", "number_input"]);
const dateKinds = { datepicker: "date", timepicker: "time" };

/** Whether an element is one that a person fills in by typing. */
const isText = (element) => textKinds.has(element.type);

/** Whether an element holds a value at all. */
function isStateful(element) {
  return isText(element) || element.type in dateKinds || ["static_select", "users_select", "radio_buttons", "checkboxes"].includes(element.type);
}

function initialValue(element) {
  switch (element.type) {
    case "checkboxes":
      return optionValues(element.initial_options);
    case "static_select":
    case "radio_buttons":
      return element.initial_option?.value ?? "";
    case "users_select":
      return element.initial_user ?? "";
    case "datepicker":
      return element.initial_date ?? "";
    case "timepicker":
      return element.initial_time ?? "";
    default:
      return element.initial_value ?? "";
  }
}

function stateValue(state) {
  if (!state) return undefined;
  if (state.selected_options) return optionValues(state.selected_options);
  return state.value ?? state.selected_option?.value ?? state.selected_user ?? state.selected_date ?? state.selected_time ?? undefined;
}

/** What an element holds now: typed here, else known to Slack, else as sent. */
export function valueOf(surface, blockID, element, state) {
  const draft = drafts.get(draftKey(surface, blockID, element.action_id));
  return draft ?? stateValue(state?.values?.[blockID]?.[element.action_id]) ?? initialValue(element);
}

function elementsOf(block) {
  const elements = block.type === "input" ? [block.element] : block.type === "actions" ? block.elements : [block.accessory];
  return (elements ?? []).filter((element) => element && isStateful(element));
}

/** Every value of a view as {block_id: {action_id: value}}. */
export function collect(view) {
  const values = {};
  for (const block of view.blocks ?? []) {
    for (const element of elementsOf(block)) {
      const value = valueOf(view.id, block.block_id, element, view.state);
      if (value === "" && !isText(element)) continue;
      (values[block.block_id] ??= {})[element.action_id] = value;
    }
  }
  return values;
}

/** The input blocks that must be filled in and are not, with the text to show. */
export function missing(view) {
  const errors = {};
  for (const block of view.blocks ?? []) {
    if (block.type !== "input" || block.optional) continue;
    const value = valueOf(view.id, block.block_id, block.element, view.state);
    if (value.length === 0 || (typeof value === "string" && value.trim() === "")) errors[block.block_id] = "Please complete this required field.";
  }
  return errors;
}
