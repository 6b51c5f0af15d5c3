// The box in which a message or a slash command is typed, with a suggestion of
// the command. What is typed is kept per person and conversation.

import { h, icon } from "./dom.js";

const commands = [
  { name: "/rotate-key", hint: "[status | help]", about: "Replace one of your AWS access keys" },
];

/** Mounts the composer in root. app needs say(text) => Promise<{ok, error}>. */
export function mountComposer(root, app) {
  const drafts = new Map();
  let place = "";
  let picked = 0;

  const box = h("textarea", {
    id: "composer-box",
    rows: "1",
    spellcheck: "false",
    autocomplete: "off",
    "aria-autocomplete": "list",
    "aria-controls": "suggestions",
    "aria-describedby": "composer-hint",
  });
  const list = h("div", { id: "suggestions", class: "suggestions", role: "listbox", "aria-label": "Commands", hidden: true });
  const button = h("button", { type: "submit", class: "send", "aria-label": "Send" }, icon("send"));
  const hint = h(
    "p",
    { id: "composer-hint", class: "composer-hint" },
    h("span", null, "Type ", h("button", { type: "button", class: "code-link", onclick: () => fill("/rotate-key") }, "/rotate-key"), " to ask for a new key"),
    h("span", { class: "keys" }, h("kbd", null, "Enter"), " sends"),
  );
  const form = h("form", { class: "composer" }, list, h("div", { class: "composer-row" }, box, button));
  root.replaceChildren(form, hint);

  const matches = () => {
    const typed = box.value;
    return /^\/\S*$/.test(typed) ? commands.filter((command) => command.name.startsWith(typed)) : [];
  };

  function fill(text) {
    box.value = text;
    changed();
    box.focus();
  }

  function changed() {
    drafts.set(place, box.value);
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, 180)}px`;
    button.disabled = box.value.trim() === "";
    suggest();
  }

  function suggest() {
    const found = document.activeElement === box ? matches() : [];
    picked = Math.min(picked, Math.max(found.length - 1, 0));
    list.hidden = found.length === 0;
    if (found.length > 0) box.setAttribute("aria-activedescendant", `suggestion-${picked}`);
    else box.removeAttribute("aria-activedescendant");
    list.replaceChildren(
      ...found.map((command, i) =>
        h(
          "div",
          {
            class: "suggestion",
            role: "option",
            id: `suggestion-${i}`,
            "aria-selected": String(i === picked),
            onmousedown: (event) => event.preventDefault(),
            onclick: () => fill(`${command.name} `),
          },
          h("span", null, h("b", null, command.name), " ", h("span", { class: "usage" }, command.hint)),
          h("small", null, command.about),
        ),
      ),
    );
  }

  async function send() {
    const text = box.value.trim();
    if (text === "" || form.getAttribute("aria-busy") === "true") return;
    const from = place;
    form.setAttribute("aria-busy", "true");
    drafts.delete(from);
    box.value = "";
    changed();
    const answer = await app.say(text);
    form.removeAttribute("aria-busy");
    if (answer.ok || drafts.get(from)) return;
    drafts.set(from, text);
    if (place === from) {
      box.value = text;
      changed();
    }
  }

  box.addEventListener("input", changed);
  box.addEventListener("focus", suggest);
  box.addEventListener("blur", suggest);
  box.addEventListener("keydown", (event) => {
    const found = list.hidden ? [] : matches();
    const chosen = found[picked];
    if (event.key === "Escape") list.hidden = true;
    else if (found.length > 1 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      picked = (picked + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length;
      suggest();
    } else if (chosen && (event.key === "Tab" || (event.key === "Enter" && box.value !== chosen.name)) && !event.shiftKey) {
      event.preventDefault();
      fill(`${chosen.name} `);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });

  return {
    /** Shows the draft of a place; title is where a message would go. */
    render(person, channel, title) {
      const next = `${person}/${channel.id}`;
      const label = `Message ${title}`;
      box.placeholder = label;
      box.setAttribute("aria-label", label);
      if (next === place) return;
      place = next;
      box.value = drafts.get(place) ?? "";
      changed();
    },
    /** Puts text in the box, ready to be sent. */
    fill,
  };
}
