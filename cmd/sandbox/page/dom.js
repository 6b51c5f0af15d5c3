// Building and patching the page's DOM. Text always goes in as text nodes and
// attributes through setAttribute: nothing here or elsewhere parses HTML, so
// nothing a person types can become markup.

/**
 * Makes an element. Props: `class`, `on…` functions become listeners, true
 * becomes an empty attribute, null and false are left out, the rest are
 * attributes. Children: nodes, strings, nested arrays; null and false are left out.
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Makes an icon out of the sprite in index.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

const marks = new WeakMap();

/**
 * Makes the children of parent match items, each {key, hash, build}. A child
 * whose key and hash are unchanged is left alone, so what is typed, selected,
 * focused or scrolled in it stays. A rebuilt child hands its focus on.
 */
export function sync(parent, items) {
  const old = new Map();
  const wanted = new Set(items.map((item) => item.key));
  for (const node of [...parent.children]) {
    const key = marks.get(node)?.key;
    if (wanted.has(key)) old.set(key, node);
    else drop(node);
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    let node = old.get(item.key);
    if (!node || marks.get(node).hash !== item.hash) {
      const fresh = item.build();
      marks.set(fresh, { key: item.key, hash: item.hash });
      if (node) {
        replaceKeepingFocus(node, fresh);
        if (at === node) at = fresh;
      }
      node = fresh;
    }
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

function drop(node) {
  const next = node.contains(document.activeElement) ? node.parentElement.closest("[tabindex]") : null;
  node.remove();
  next?.focus({ preventScroll: true });
}

function replaceKeepingFocus(node, fresh) {
  const active = node.contains(document.activeElement) ? document.activeElement : null;
  const caret = active && readCaret(active);
  node.replaceWith(fresh);
  if (!active) return;
  const name = active.dataset.focus;
  const same = name && [...fresh.querySelectorAll("[data-focus]")].find((it) => it.dataset.focus === name);
  const next = same ?? (fresh.matches("[tabindex]") ? fresh : fresh.querySelector("[tabindex]"));
  next?.focus({ preventScroll: true });
  if (same && caret) same.setSelectionRange(...caret);
}

function readCaret(node) {
  const holdsText = node.matches("textarea, input[type=text], input[type=url], input[type=search]");
  return holdsText ? [node.selectionStart, node.selectionEnd] : null;
}

let announcer;

/** Says text through the page's polite live region. */
export function announce(text) {
  announcer ??= document.getElementById("announcer");
  const line = h("p", null, text);
  announcer.append(line);
  setTimeout(() => line.remove(), 8000);
}

let toasts;

/** Shows for some seconds what went wrong. */
export function complain(text) {
  toasts ??= document.getElementById("toasts");
  const card = h("div", { class: "toast", role: "alert" }, text);
  card.append(h("button", { type: "button", class: "ghost small", "aria-label": "Dismiss", onclick: () => card.remove() }, icon("close")));
  toasts.append(card);
  if (toasts.matches(":popover-open")) toasts.hidePopover();
  toasts.showPopover(); // above an open dialog too
  setTimeout(() => card.remove(), 9000);
}
