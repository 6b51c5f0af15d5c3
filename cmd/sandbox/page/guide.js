// "What to try": the story of one rotation, one step at a time, with a button
// that goes to where the step happens. Steps tick themselves off from what has
// happened in Slack and AWS; a reader can also page through them.

import { h, icon } from "./dom.js";

const day = 24 * 3600 * 1000;

/** Whether some user's keys, with the one that the bot made among them, are as told. */
function keysAre(aws, told) {
  const users = (aws?.accounts ?? []).flatMap((account) => account.users ?? []);
  return users.map((user) => user.keys ?? []).some((keys) => keys.some((key) => key.by_bot) && told(keys));
}

/** Whether a message that somebody sees offers an action. */
function offered(screens, actionID) {
  const messages = [...screens.values()].flatMap((screen) => screen.channels ?? []).flatMap((channel) => channel.messages ?? []);
  return messages.flatMap((message) => message.blocks ?? []).some((block) => block.elements?.some((element) => element.action_id === actionID));
}

let handedOver = false;

const asked = ({ screens }) => offered(screens, "approve");
const created = ({ aws }) => keysAre(aws, () => true);
const used = ({ aws }) => keysAre(aws, (keys) => keys.some((key) => key.by_bot && key.last_used));
const deactivated = ({ aws }) => keysAre(aws, (keys) => keys.some((key) => !key.by_bot && key.status === "Inactive"));
const deleted = ({ aws }) => keysAre(aws, (keys) => keys.length === 1);

/** The secret's message has been there and is gone. */
function stored({ screens }) {
  const waits = offered(screens, "receipt");
  handedOver ||= waits;
  return handedOver && !waits;
}

/** The new key has been used, and the old one has not for a day. */
function moved({ aws, now }) {
  const quiet = (key) => key.by_bot || !key.last_used || now - new Date(key.last_used) >= day;
  return used({ aws }) && keysAre(aws, (keys) => keys.every(quiet));
}

/** The story. who, where and draft say where "Take me there" leads. */
const steps = [
  {
    who: "owner",
    title: "Ask for a new key",
    text: "type /rotate-key, pick the key of ci-deploy and send the request.",
    draft: "/rotate-key",
    done: asked,
  },
  {
    who: "approver",
    where: "approv",
    title: "Approve it",
    text: "approve the request in #key-approvals. Keyturner makes a second key, and the first keeps working.",
    done: created,
  },
  {
    who: "owner",
    where: "app",
    title: "Take the key",
    text: "open the message from Keyturner. The secret is shown once: say that you have stored it.",
    done: stored,
  },
  {
    panel: "aws",
    title: "Move the application",
    text: "press “Use now” on the new key, then skip 1 day, so that the old key is seen to be quiet.",
    done: moved,
  },
  {
    who: "owner",
    where: "app",
    title: "Say that everything has moved",
    text: "tell Keyturner that your applications use the new key. AWS must agree.",
    done: (world) => moved(world) && asked(world),
  },
  {
    who: "approver",
    where: "approv",
    title: "Approve the deactivation",
    text: "approve the next card. The old key becomes Inactive and can still be brought back.",
    done: deactivated,
  },
  {
    who: "approver",
    where: "approv",
    title: "Wait, then delete",
    text: "skip 7 days, then approve the last card. The old key is gone.",
    done: deleted,
  },
];

const hiddenKey = "keyturner-guide-hidden";

/**
 * Mounts the guide in root; opener brings it back. app needs visit(step) and
 * person(role) => member or undefined.
 */
export function mountGuide(root, opener, app) {
  let at = 0;
  let doneBefore = null;
  let hidden = localStorage.getItem(hiddenKey) === "yes";

  const place = h("span", { class: "step-count" });
  const title = h("b");
  const text = h("span");
  const go = h("button", { type: "button", class: "btn tiny", onclick: () => app.visit(steps[at]) }, "Take me there");
  const back = h("button", { type: "button", class: "ghost small", "aria-label": "Previous step", onclick: () => move(at - 1) }, icon("back"));
  const next = h("button", { type: "button", class: "ghost small", "aria-label": "Next step", onclick: () => move(at + 1) }, icon("forward"));
  const all = h("button", { type: "button", class: "ghost small text", "aria-expanded": "false", onclick: () => toggleList(list.hidden) }, "All steps");
  const close = h("button", { type: "button", class: "ghost small", "aria-label": "Hide what to try", onclick: () => hide(true) }, icon("close"));
  const list = h("ol", { class: "all-steps", hidden: true });
  root.replaceChildren(
    h("div", { class: "guide-row" }, place, h("p", { "aria-live": "polite" }, title, " ", text), h("div", { class: "guide-actions" }, go, back, next, all, close)),
    list,
  );
  opener.addEventListener("click", () => hide(!hidden));

  function hide(value) {
    hidden = value;
    localStorage.setItem(hiddenKey, value ? "yes" : "no");
    draw();
    (value ? opener : go).focus();
  }

  function move(to) {
    at = Math.max(0, Math.min(steps.length, to));
    draw();
  }

  function choose(i) {
    at = i;
    toggleList(false);
    go.focus();
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
    return person ? `As ${person}, ${step.text}` : step.text[0].toUpperCase() + step.text.slice(1);
  };

  function draw() {
    root.hidden = hidden;
    opener.setAttribute("aria-pressed", String(!hidden));
    const step = steps[at];
    const words = step
      ? [`${at + 1} of ${steps.length}`, `${step.title}.`, sentence(step)]
      : ["Done", "That was a whole rotation.", "The old key is gone, and nothing broke on the way."];
    [place, title, text].forEach((node, i) => {
      if (node.textContent !== words[i]) node.textContent = words[i];
    });
    go.hidden = !step;
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

  /** Moves on past what has happened since the last call, and draws. */
  return function render(world) {
    const done = steps.map((step) => step.done(world));
    const fresh = done.map((it, i) => it && !doneBefore?.[i]).lastIndexOf(true);
    doneBefore = done;
    if (fresh >= at) at = fresh + 1;
    draw();
  };
}
