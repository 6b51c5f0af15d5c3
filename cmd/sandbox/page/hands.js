// The hands of the guided tour: they do a step for the reader, as the person
// whose step it is, through the same routes as the reader's own clicks.

import { offer, requestSeen } from "./tour.js";

const patience = 20_000;

/**
 * Makes the hands. app needs person(role) => member id, post(path, body) =>
 * Promise<{ok, error}>, close(person, views) and skip(hours) => Promise<boolean>.
 */
export function makeHands(app) {
  const waiting = new Set();
  let world = { screens: new Map(), now: new Date() };
  let seen = null;

  async function post(path, body) {
    const answer = await app.post(path, body);
    if (!answer.ok) throw new Error(answer.error || "That was refused.");
  }

  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

  /** Waits until ok finds something in the world, and returns it. */
  function until(what, ok) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        waiting.delete(look);
        reject(new Error(`${what} is not there. Do the earlier steps first, and mend what is broken.`));
      }, patience);
      const look = () => {
        const found = ok(world);
        if (!found) return;
        clearTimeout(late);
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  }

  /** Leads the eye to what is about to be clicked. */
  function show(selector) {
    const node = document.querySelector(selector);
    node?.scrollIntoView({ block: "center" });
    node?.classList.add("pointed");
    setTimeout(() => node?.classList.remove("pointed"), 1600);
  }

  async function click(role, where, action, words) {
    const as = app.person(role);
    const find = (it) => offer(it, as, where, action, words);
    const { block, element } = await until("What is to be clicked", find);
    show(`[data-focus="${CSS.escape(`${block.block_id ?? ""}/${action}/${element.value ?? ""}`)}"]`);
    await pause(800);
    const at = await until("What is to be clicked", find);
    await post("/slack/click", { as, channel: at.channel, ts: at.message.ts, block_id: at.block.block_id ?? "", action_id: action, value: at.element.value ?? "" });
  }

  /** A modal would lie over the guide, too. */
  async function closeModals(step) {
    const as = step.who && app.person(step.who);
    const open = as ? (world.screens.get(as)?.views ?? []) : [];
    if (open.length > 0) await app.close(as, [...open].reverse());
  }

  async function skip(hours) {
    if (!(await app.skip(hours))) throw new Error("The clock did not move.");
  }

  /** What the steps of the tour work with. */
  const tour = { person: app.person, post, pause, until, show, click, skip, world: () => world, seen: () => seen };

  return {
    tour,
    /** Takes in what has become of the world. */
    look(now) {
      world = now;
      seen = requestSeen(world, app.person("second")) ?? seen;
      for (const look of [...waiting]) look();
    },
    /** Does a step, and returns once it has come about. */
    async perform(step) {
      await closeModals(step);
      try {
        await step.perform(tour, step);
        await until("What should come of this", (it) => step.done(it, tour));
      } finally {
        await closeModals(step);
      }
    },
  };
}
