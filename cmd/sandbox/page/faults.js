// "Break something": a menu of what can be broken, with what to expect of it,
// and a strip that says for as long as something is broken.

import { complain, h, icon, sync } from "./dom.js";
import { place } from "./menu.js";

/**
 * Mounts the menu that opener opens, and the strip in root. app needs
 * fault(name, on) => Promise<{ok, error}>.
 */
export function mountFaults(root, opener, app) {
  const list = h("div", { class: "fault-list" });
  const menu = h(
    "div",
    { id: "faults", class: "popover faults", popover: "auto", role: "dialog", "aria-labelledby": "faults-title" },
    h("h2", { id: "faults-title" }, "Break something"),
    h("p", { class: "muted" }, "Then see what people are told, and how Keyturner recovers."),
    list,
  );
  document.body.append(menu);
  opener.setAttribute("popovertarget", menu.id);
  menu.addEventListener("toggle", (event) => {
    const open = event.newState === "open";
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    place(menu, opener, 600);
    list.querySelector("button")?.focus();
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...list.children];
    all.at((all.indexOf(document.activeElement) + step) % all.length)?.focus();
  });

  async function turn(button, fault, on) {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    const answer = await app.fault(fault.name, on);
    button.removeAttribute("aria-busy");
    if (!answer.ok) complain(answer.error);
  }

  function row(fault) {
    const button = h(
      "button",
      { type: "button", class: "fault", role: "switch", "aria-checked": String(fault.on), "aria-labelledby": `fault-${fault.name}`, "aria-describedby": `expect-${fault.name}`, "data-focus": fault.name },
      h("span", { class: "track", "aria-hidden": "true" }),
      h("span", null, h("b", { id: `fault-${fault.name}` }, fault.title), h("small", { id: `expect-${fault.name}` }, fault.expect)),
    );
    button.addEventListener("click", () => turn(button, fault, !fault.on));
    return button;
  }

  function chip(fault) {
    const button = h("button", { type: "button", class: "btn tiny", "data-focus": `mend/${fault.name}` }, fault.mend);
    button.addEventListener("click", () => turn(button, fault, false));
    return h("div", { class: "broken-one" }, icon("warn"), h("p", null, h("b", null, `${fault.title}. `), h("span", null, fault.expect)), button);
  }

  /** Draws what can be broken, and what is. */
  return function render(faults) {
    const broken = faults.filter((fault) => fault.on);
    const item = (build) => (fault) => ({ key: fault.name, hash: String(fault.on), build: () => build(fault) });
    sync(list, faults.map(item(row)));
    sync(root, broken.map(item(chip)));
    root.hidden = broken.length === 0;
    opener.classList.toggle("alarmed", broken.length > 0);
    opener.setAttribute("aria-label", broken.length > 0 ? `Break something: ${broken.length} broken now` : "Break something");
  };
}
