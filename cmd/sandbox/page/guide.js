// The strip of the guided tour: one step at a time, with a button that does it
// for the reader and one that leads to where it happens. A step ticks itself off
// when it has been done, by whomever; a reader can also page through the steps.

import { complain, h, icon } from "./dom.js";
import { makeHands } from "./hands.js";
import { steps } from "./tour.js";

const hiddenKey = "keyturner-guide-hidden";
const placeKey = "keyturner-guide-place";

/**
 * Mounts the guide in root; opener brings it back. app needs visit(step),
 * name(member id) and what the hands need.
 */
export function mountGuide(root, opener, app) {
  const hands = makeHands(app);
  let at = 0;
  let world = ""; // names the sandbox: a later one begins anew
  let doneBefore = null;
  let busy = false;
  let hidden = localStorage.getItem(hiddenKey) === "yes";

  const count = h("span", { class: "step-count" });
  const title = h("b");
  const text = h("span");
  const perform = h("button", { type: "button", class: "btn tiny", onclick: doIt }, "Do it for me");
  const go = h("button", { type: "button", class: "ghost small text", onclick: () => app.visit(steps[at]) }, "Show me");
  const back = h("button", { type: "button", class: "ghost small", "aria-label": "Previous step", onclick: () => move(at - 1) }, icon("back"));
  const next = h("button", { type: "button", class: "ghost small", "aria-label": "Next step", onclick: () => move(at + 1) }, icon("forward"));
  const all = h("button", { type: "button", class: "ghost small text", "aria-label": "All steps", "aria-expanded": "false", onclick: () => toggleList(list.hidden) }, "All", h("span", { class: "wide-only" }, "steps"));
  const close = h("button", { type: "button", class: "ghost small", "aria-label": "Hide the guided tour", onclick: () => hide(true) }, icon("close"));
  const list = h("ol", { class: "all-steps", hidden: true });
  root.replaceChildren(
    h("div", { class: "guide-row" }, count, h("p", { "aria-live": "polite" }, title, " ", text), h("div", { class: "guide-actions" }, perform, go, back, next, all, close)),
    list,
  );
  opener.addEventListener("click", () => hide(!hidden));

  function hide(value) {
    hidden = value;
    localStorage.setItem(hiddenKey, value ? "yes" : "no");
    draw();
    (value ? opener : perform).focus();
  }

  function move(to) {
    at = Math.max(0, Math.min(steps.length, to));
    localStorage.setItem(placeKey, JSON.stringify({ world, at }));
    draw();
  }

  /** Goes on to the first step from there that has not been done. */
  function advance(to, done) {
    while (done?.[to]) to += 1;
    move(to);
  }

  async function doIt() {
    const begun = at;
    if (busy || !steps[begun]) return;
    busy = true;
    perform.setAttribute("aria-busy", "true");
    try {
      app.visit({ ...steps[begun], draft: "" });
      await hands.perform(steps[begun]);
      if (at === begun) advance(begun + 1, doneBefore);
    } catch (error) {
      complain(error.message);
    }
    busy = false;
    perform.removeAttribute("aria-busy");
  }

  function choose(i) {
    move(i);
    toggleList(false);
    perform.focus();
  }

  function toggleList(open) {
    list.hidden = !open;
    all.setAttribute("aria-expanded", String(open));
    draw();
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || list.hidden) return;
    toggleList(false);
    all.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!list.hidden && !root.contains(event.target)) toggleList(false);
  });

  const sentence = (step) => {
    const person = step.who && app.person(step.who);
    return person ? `As ${app.name(person)}, ${step.text}` : step.text[0].toUpperCase() + step.text.slice(1);
  };

  function draw() {
    root.hidden = hidden;
    opener.setAttribute("aria-pressed", String(!hidden));
    const step = steps[at];
    const words = step
      ? [`${at + 1} of ${steps.length}`, `${step.title}.`, sentence(step)]
      : ["Done", "That was a whole rotation.", "The old key is gone, and what broke on the way was mended with one click."];
    [count, title, text].forEach((node, i) => {
      if (node.textContent !== words[i]) node.textContent = words[i];
    });
    perform.hidden = go.hidden = !step;
    back.disabled = at === 0;
    next.disabled = !step;
    if (list.hidden) return;
    list.replaceChildren(
      ...steps.map((it, i) =>
        h(
          "li",
          { class: i < at ? "past" : i === at ? "now" : null, "aria-current": i === at && "step" },
          h("button", { type: "button", class: "step", onclick: () => choose(i) }, h("b", null, it.title), h("small", null, sentence(it))),
        ),
      ),
    );
  }

  /** Goes on from where the reader was, if that was in this very sandbox. */
  function resume() {
    try {
      const kept = JSON.parse(localStorage.getItem(placeKey) ?? "{}");
      at = kept.world === world && kept.at >= 0 ? Math.min(kept.at, steps.length) : 0;
    } catch {
      at = 0;
    }
  }

  /** Moves on past what has happened since the last call, and draws. */
  return function render(state) {
    if (!state.world) return;
    if (state.world !== world) {
      world = state.world;
      doneBefore = null;
      resume();
    }
    hands.look(state);
    const done = steps.map((step) => Boolean(step.done?.(state, hands.tour)));
    const fresh = steps.findLastIndex((step, i) => i >= at && (i === at || step.landmark) && done[i] && !doneBefore?.[i]);
    if (fresh >= 0) advance(fresh + 1, done);
    doneBefore = done;
    draw();
  };
}
