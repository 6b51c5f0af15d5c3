// Modals: the dialog that shows the top of the view stack.

import { blockItems } from "./blocks.js";
import { h, icon, sync } from "./dom.js";
import { collect, dropDrafts, missing } from "./forms.js";
import { plain } from "./mrkdwn.js";

/**
 * The dialog of the view stack. app needs submit(view, values) => {ok, errors,
 * error}, close(views) and ctx(surface, state, target).
 */
export function mountModal(app) {
  let shown = null;
  let stack = [];
  let errors = {};
  let failed = "";
  let touched = false;

  const title = h("h2", { id: "view-title" });
  const body = h("div", { class: "modal-body", tabindex: "-1" });
  const banner = h("div", { class: "modal-banner", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "btn primary" });
  const cancel = h("button", { type: "button", class: "btn", onclick: () => leave([shown]) });
  const back = h("button", { type: "button", class: "ghost", "aria-label": "Back", onclick: () => leave([shown]) }, icon("back"));
  const close = h("button", { type: "button", class: "ghost", "aria-label": "Close", onclick: () => leave([...stack].reverse()) }, icon("close"));
  const form = h("form", { novalidate: true }, h("header", null, back, title, close), banner, body, h("footer", null, cancel, submit));
  const dialog = h("dialog", { class: "modal view", "aria-labelledby": "view-title" }, form);
  document.body.append(dialog);

  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog) return;
    event.preventDefault();
    leave([shown]);
  });
  for (const kind of ["keydown", "pointerdown", "click", "input"]) dialog.addEventListener(kind, () => (touched = true));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });

  async function leave(views) {
    const gone = views.filter(Boolean);
    await app.close(gone);
    for (const view of gone) dropDrafts(view.id);
  }

  async function send() {
    if (submit.getAttribute("aria-busy") === "true" || !shown.submit) return;
    const view = shown;
    errors = missing(view);
    failed = "";
    if (Object.keys(errors).length === 0) {
      submit.setAttribute("aria-busy", "true");
      const answer = await app.submit(view, collect(view));
      submit.removeAttribute("aria-busy");
      if (shown?.id !== view.id) return dropDrafts(view.id);
      errors = answer.errors ?? {};
      if (!answer.ok && Object.keys(errors).length === 0) failed = answer.error || "We had some trouble connecting. Try again?";
    }
    draw();
    if (Object.keys(errors).length === 0) return;
    firstControl(".invalid")?.focus();
    body.querySelector(".input-error")?.scrollIntoView({ block: "nearest" });
  }

  const firstControl = (within) => body.querySelector(`${within} :is(input, textarea, button)`);

  function draw() {
    const view = shown;
    const trouble = failed || view.failed;
    title.textContent = plain(view.title);
    banner.hidden = !trouble;
    banner.replaceChildren(icon("warn"), trouble || "");
    back.hidden = stack.length < 2;
    submit.hidden = !view.submit;
    submit.textContent = plain(view.submit);
    cancel.textContent = plain(view.close) || (view.submit ? "Cancel" : "Close");
    sync(body, blockItems(view.blocks, { ...app.ctx(view.id, view.state, { view: view.id }), pending: new Set(view.pending), errors: { ...view.errors, ...errors } }));
    const held = dialog.contains(document.activeElement) && !document.activeElement.hidden;
    if (!touched || !held) (firstControl(".block-input") ?? firstControl(":is(.block-actions, .accessory)") ?? body).focus({ preventScroll: true });
  }

  /** Shows the top of views, or closes the dialog when there is none. */
  return function render(views) {
    stack = views ?? [];
    const top = stack.at(-1) ?? null;
    if (!top) {
      if (shown) dropDrafts(shown.id);
      shown = null;
      if (dialog.open) dialog.close();
      return;
    }
    if (top.id !== shown?.id) {
      errors = {};
      failed = "";
      touched = false;
      body.scrollTop = 0;
    }
    shown = top;
    if (!dialog.open) dialog.showModal();
    draw();
  };
}
