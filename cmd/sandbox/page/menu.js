// A list that pops up from a button: overflow menus and select boxes. One
// component, so that keyboard use is the same everywhere: arrows, Home, End,
// typing to filter long lists, Enter, Escape.

import { h, icon } from "./dom.js";

/**
 * Opens a list below anchor. groups is [{label, items: [{value, text,
 * description}]}]; role is "menu" or "listbox"; current is the chosen value;
 * onPick gets the picked item. Focus returns to anchor when it closes.
 */
export function openMenu(anchor, { label, role = "menu", groups, current, onPick }) {
  const itemRole = role === "menu" ? "menuitem" : "option";
  const pop = h("div", { class: "popover", popover: "auto", role, "aria-label": label });
  const options = [];
  for (const group of groups) {
    if (group.label) pop.append(h("div", { class: "group-label", role: "presentation" }, group.label));
    for (const item of group.items) {
      const option = menuItem(item, itemRole, item.value === current);
      option.addEventListener("click", () => {
        pop.hidePopover();
        onPick(item);
      });
      options.push(option);
      pop.append(option);
    }
  }
  const filter = options.length > 8 ? filterBox(pop, options) : null;
  pop.addEventListener("keydown", (event) => moveFocus(event, options));
  pop.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    const hadFocus = pop.contains(document.activeElement) || document.activeElement === document.body;
    anchor.setAttribute("aria-expanded", "false");
    pop.remove();
    if (hadFocus && anchor.isConnected) anchor.focus();
  });
  (anchor.closest("dialog") ?? document.body).append(pop);
  pop.showPopover();
  place(pop, anchor);
  anchor.setAttribute("aria-expanded", "true");
  (filter ?? options.find((option) => option.dataset.current) ?? options[0])?.focus();
}

function menuItem(item, role, chosen) {
  return h(
    "button",
    { type: "button", class: "menu-item", role, tabindex: "-1", "aria-selected": role === "option" ? String(chosen) : null, "data-current": chosen },
    h("span", { class: "menu-text" }, item.text, item.description && h("small", null, item.description)),
    chosen && icon("check"),
  );
}

function filterBox(pop, options) {
  const box = h("input", { type: "search", class: "menu-filter", placeholder: "Filter", "aria-label": "Filter the list" });
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLowerCase();
    for (const option of options) option.hidden = !option.textContent.toLowerCase().includes(wanted);
  });
  pop.prepend(box);
  return box;
}

function moveFocus(event, options) {
  const shown = options.filter((option) => !option.hidden);
  const at = shown.indexOf(document.activeElement);
  const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? shown.length - 1 : at - 1, Home: 0, End: shown.length - 1 };
  if (event.key === "Enter" && at < 0 && shown[0]) {
    event.preventDefault();
    shown[0].click();
  } else if (event.key in steps && !(at < 0 && (event.key === "Home" || event.key === "End"))) {
    event.preventDefault();
    shown.at(steps[event.key] % shown.length)?.focus();
  } else if (event.key === "Tab") {
    event.preventDefault();
    event.currentTarget.hidePopover();
  }
}

/** Puts a shown popover beside its anchor, where there is room, at most so high. */
export function place(pop, anchor, most = 340) {
  const box = anchor.getBoundingClientRect();
  const gap = 4;
  const below = innerHeight - box.bottom - gap;
  const height = Math.min(pop.scrollHeight + 2, most);
  const up = below < height && box.top > below;
  pop.style.maxHeight = `${Math.min(height, (up ? box.top : below) - 2 * gap)}px`;
  pop.style.minWidth = `${Math.min(box.width, innerWidth - 2 * gap)}px`;
  pop.style.left = `${Math.max(gap, Math.min(box.left, innerWidth - pop.offsetWidth - gap))}px`;
  pop.style.top = up ? `${box.top - gap - pop.offsetHeight}px` : `${box.bottom + gap}px`;
}
