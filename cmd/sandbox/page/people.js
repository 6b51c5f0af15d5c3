// The row of people the reader can be. One click is one switch; a badge shows
// who has something to look at.

import { h, sync } from "./dom.js";
import { nameOf } from "./mrkdwn.js";

const initialsOf = (name) => name.split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((word) => [...word][0]).join("").toUpperCase() || "?";

function toneOf(id) {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return sum % 8;
}

/** A member's picture: initials on a colour that is always the same for them. */
export function avatar(member, id, size = "") {
  const bot = member?.is_bot;
  return h("span", { class: `avatar ${size} ${bot ? "bot" : `tone-${toneOf(id)}`}`, "aria-hidden": "true" }, bot ? "🔑" : initialsOf(nameOf(id)));
}

/** What a person has not read: direct messages and mentions, then the rest. */
export function unreadOf(screen) {
  const sum = { loud: 0, quiet: 0 };
  for (const channel of screen?.channels ?? []) {
    if (!channel.unread) continue;
    if (channel.kind === "im") sum.loud += channel.unread;
    else sum.quiet += channel.unread;
  }
  return sum;
}

function fullName(name) {
  const [first, ...rest] = name.split(" ");
  return rest.length ? [first, h("span", { class: "last-name" }, ` ${rest.join(" ")}`)] : first;
}

/** Mounts the row in root. app needs as(memberID). */
export function mountPeople(root, app) {
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...root.children];
    const next = all.at((all.indexOf(document.activeElement) + step) % all.length);
    next.focus();
    next.click();
  });

  return function render(me, members, screens) {
    const humans = members.filter((member) => !member.is_bot && !member.deleted);
    sync(root, humans.map((member) => {
      const mine = member.id === me;
      const { loud, quiet } = unreadOf(screens.get(member.id));
      const news = loud || quiet ? `, ${loud + quiet} unread` : "";
      return {
        key: member.id,
        hash: JSON.stringify([member, mine, loud, quiet > 0]),
        build: () =>
          h(
            "button",
            {
              type: "button",
              class: "person",
              role: "radio",
              "aria-checked": String(mine),
              tabindex: mine ? "0" : "-1",
              "aria-label": `${nameOf(member.id)}${member.title ? `, ${member.title}` : ""}${news}`,
              title: member.title || null,
              "data-focus": member.id,
              onclick: () => app.as(member.id),
            },
            avatar(member, member.id),
            h("span", { class: "person-text" }, h("b", null, fullName(nameOf(member.id))), member.title && h("small", null, member.title)),
            loud > 0 ? h("span", { class: "badge" }, String(loud)) : quiet > 0 && h("span", { class: "dot" }),
          ),
      };
    }));
    root.querySelector("[aria-checked=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
}
