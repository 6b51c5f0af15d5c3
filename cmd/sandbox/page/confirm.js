// The question that a button, a select or a menu may ask before it acts.

import { h } from "./dom.js";
import { mrkdwn, plain } from "./mrkdwn.js";

const textOf = (object) => (object?.type === "mrkdwn" ? mrkdwn(object.text) : plain(object));

/** Asks what a confirm object asks; resolves to whether the person agreed. */
export function confirmed(confirm) {
  return new Promise((resolve) => {
    const danger = confirm.style === "danger";
    const dialog = h(
      "dialog",
      { class: "modal confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      h("h2", { id: "confirm-title" }, plain(confirm.title)),
      h("div", { id: "confirm-text" }, textOf(confirm.text)),
      h(
        "footer",
        null,
        h("button", { type: "button", class: "btn", autofocus: true, onclick: () => dialog.close() }, plain(confirm.deny) || "Cancel"),
        h("button", { type: "button", class: danger ? "btn danger" : "btn primary", onclick: () => dialog.close("yes") }, plain(confirm.confirm) || "Confirm"),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
