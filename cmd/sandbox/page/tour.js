// The guided tour: the story of one rotation, with what goes wrong on the way,
// as `sandbox tour` tells it. Each step says what to do, knows from Slack and AWS
// when it has been done, and can do it for the reader.

const user = "ci-deploy";
const day = 24 * 3600 * 1000;

/** The user's key from before the rotation, and the one that the bot has made. */
function keysOf(world) {
  const users = (world.aws?.accounts ?? []).flatMap((account) => account.users ?? []);
  const keys = users.find((it) => it.name === user)?.keys ?? [];
  return { known: keys.length > 0, old: keys.find((key) => !key.by_bot), fresh: keys.find((key) => key.by_bot) };
}

const applicationOf = (world) => (world.applications ?? []).find((it) => it.user === user);

const isQuiet = (world, key) => !key?.last_used || world.now - new Date(key.last_used) >= day;

function conversations(screen, where) {
  return (screen?.channels ?? []).filter((channel) => (where === "app" ? channel.kind === "im" && channel.with === screen.bot : channel.name?.includes(where)));
}

const holds = (message, words) => !message.deleted && words.every((word) => (message.text ?? "").includes(word));

/** The newest message of a place that a person sees, for which ok holds. */
function newest(screen, where, ok) {
  for (const channel of conversations(screen, where)) {
    const message = (channel.messages ?? []).findLast(ok);
    if (message) return { channel: channel.id, message };
  }
  return null;
}

function elementOf(message, action) {
  for (const block of message.blocks ?? []) {
    const element = [...(block.elements ?? []), block.accessory].find((it) => it?.action_id === action);
    if (element) return { block, element };
  }
  return null;
}

/** What can be clicked: the newest message with that button and those words. */
export function offer(world, person, where, action, words) {
  const found = newest(world.screens.get(person), where, (message) => holds(message, words) && elementOf(message, action));
  return found && { ...found, ...elementOf(found.message, action) };
}

/** What a person alone is told. */
const told = (world, person, where, word) => newest(world.screens.get(person), where, (message) => message.ephemeral && holds(message, [word])) !== null;

const requestCard = `Create a new key for ${user}?`;
const deactivateCard = `Deactivate the old key of ${user}?`;
const deleteCard = `Delete the old key of ${user}?`;

const asked = (world, t, card) => offer(world, t.person("approver"), "approv", "approve", [card]) !== null;
const deactivated = (world) => {
  const { known, old } = keysOf(world);
  return known && old?.status !== "Active";
};

/** Fills in the modal of keys and sends it. */
async function request(t) {
  const as = t.person("owner");
  const general = conversations(t.world().screens.get(as), "general")[0];
  await t.post("/slack/command", { as, channel: general?.id, text: "/rotate-key" });
  const view = await t.until("the modal", (world) => world.screens.get(as)?.views?.find((it) => it.submit));
  const input = (action) => view.blocks.find((block) => block.element?.action_id === action);
  const option = input("key")?.element.options.find((it) => it.text.text.includes(` of ${user} in `));
  if (!option) throw new Error(`${user} has no key to choose: its rotation may be under way.`);
  await t.pause(1200);
  await t.post("/slack/submit", { as, view: view.id, values: { [input("key").block_id]: { key: option.value }, [input("what").block_id]: { what: "replace" } } });
  await t.until("the request", (world) => asked(world, t, requestCard));
  await t.pause(1200);
}

async function move(t, which) {
  const application = applicationOf(t.world());
  const key = keysOf(t.world())[which];
  if (!application || !key) throw new Error("There is no such key yet. Do the earlier steps first.");
  t.show(`[data-application="${user}"]`);
  await t.pause(700);
  await t.post("/apps/switch", { account: application.account, user, key: key.id });
}

/** Clicks what the step's person is offered there, which Slack's dialogs would confirm. */
const click = (action, ...words) => async (t, step) => t.click(step.who, step.where, action, words);

/**
 * The story. who and where say where it happens; done gets the world and the
 * tour. Of a landmark, done tells that the story has come so far, whatever was
 * left out; of any other step, only when it is its turn.
 */
export const steps = [
  {
    who: "second",
    where: "on-call",
    title: "See what is due",
    text: `read the digest in #on-call: the key of ${user} is too old. Its owner has been told.`,
    landmark: true,
    done: (world, t) => conversations(world.screens.get(t.person("second")), "on-call").some((it) => it.messages?.length > 0 && it.unread === 0),
    perform: async () => {}, // to be there is to read it
  },
  {
    who: "owner",
    where: "general",
    draft: "/rotate-key",
    title: "Ask for a new key",
    landmark: true,
    text: `type /rotate-key, choose the key of ${user} and send the request.`,
    done: (world, t) => asked(world, t, requestCard) || Boolean(keysOf(world).fresh),
    perform: request,
  },
  {
    who: "owner",
    where: "approv",
    title: "Nobody approves their own",
    text: "try to approve it yourself in #key-approvals. It is refused.",
    done: (world, t) => told(world, t.person("owner"), "approv", "Only an approver"),
    perform: click("approve", requestCard),
  },
  {
    who: "approver",
    where: "approv",
    title: "Approve it",
    landmark: true,
    text: "create the new key in #key-approvals. The old one keeps working.",
    done: (world) => Boolean(keysOf(world).fresh),
    perform: click("approve", requestCard),
  },
  {
    who: "second",
    where: "approv",
    title: "A second click is too late",
    text: "click the same button, on a screen that has not caught up. Nothing happens twice.",
    done: (world, t) => told(world, t.person("second"), "approv", "before your click"),
    perform: async (t) => {
      const seen = t.seen();
      if (!seen) throw new Error("This page has not seen the request as it was. Go on to the next step.");
      await t.post("/late/click", { as: t.person("second"), channel: seen.channel, message: seen.message, action_id: "approve" });
    },
  },
  {
    who: "owner",
    where: "app",
    title: "Take the key",
    landmark: true,
    text: "read the message from Keyturner. The secret is shown once: say that you have stored it.",
    done: (world, t) => newest(world.screens.get(t.person("owner")), "app", (message) => holds(message, ["You have stored the secret"])) !== null,
    perform: click("receipt"),
  },
  {
    who: "owner",
    where: "app",
    title: "Not yet",
    text: "say at once that your applications use the new key. AWS has seen no such thing: refused.",
    done: (world, t) => told(world, t.person("owner"), "app", "cannot be done yet"),
    perform: click("confirm", user),
  },
  {
    panel: "aws",
    title: "Move the application",
    landmark: true,
    text: `the build server of ${user} still uses the old key. In the AWS panel, give it the new one.`,
    done: (world) => Boolean(keysOf(world).fresh?.last_used),
    perform: (t) => move(t, "fresh"),
  },
  {
    panel: "aws",
    title: "Let a day pass",
    landmark: true,
    text: "skip 1 day. The old key must be seen to be quiet.",
    done: (world) => Boolean(keysOf(world).fresh?.last_used) && isQuiet(world, keysOf(world).old),
    perform: (t) => t.skip(24),
  },
  {
    who: "owner",
    where: "app",
    title: "Say that everything has moved",
    landmark: true,
    text: "say again that your applications use the new key. Now AWS agrees.",
    done: (world, t) => asked(world, t, deactivateCard) || deactivated(world),
    perform: click("confirm", user),
  },
  {
    who: "approver",
    where: "approv",
    title: "Approve the deactivation",
    landmark: true,
    text: "read the evidence and deactivate the old key. It can still be brought back.",
    done: deactivated,
    perform: click("approve", deactivateCard),
  },
  {
    panel: "aws",
    title: "Something was forgotten",
    text: "a nightly report on the build server has the old key. Put the application back on it: it fails.",
    done: (world) => applicationOf(world)?.ok === false,
    perform: (t) => move(t, "old"),
  },
  {
    who: "owner",
    where: "app",
    title: "Bring the old key back",
    text: "reactivate it. Nobody has to approve that, and the report runs again.",
    done: (world) => keysOf(world).old?.status === "Active",
    perform: click("reactivate", user),
  },
  {
    panel: "aws",
    title: "Move that too",
    text: "give the application the new key again, and let two days pass.",
    done: (world) => applicationOf(world)?.key === keysOf(world).fresh?.id && isQuiet(world, keysOf(world).old),
    perform: async (t) => {
      await move(t, "fresh");
      await t.pause(700);
      await t.skip(48);
    },
  },
  {
    who: "owner",
    where: "app",
    title: "Say it once more",
    text: "say that your applications use the new key.",
    done: (world, t) => asked(world, t, deactivateCard) || deactivated(world),
    perform: click("confirm", user),
  },
  {
    who: "second",
    where: "approv",
    title: "Approve it once more",
    text: "deactivate the old key. Its grace begins: seven days in which it can be brought back.",
    done: deactivated,
    perform: click("approve", deactivateCard),
  },
  {
    who: "approver",
    where: "approv",
    title: "Wait out the grace",
    landmark: true,
    text: "skip 7 days. Nobody misses the old key, and the approvers are asked once more.",
    done: (world, t) => asked(world, t, deleteCard) || (keysOf(world).known && !keysOf(world).old),
    perform: (t) => t.skip(168),
  },
  {
    who: "second",
    where: "approv",
    title: "Delete it",
    landmark: true,
    text: "delete the old key. The new one has taken its place.",
    done: (world) => keysOf(world).known && !keysOf(world).old,
    perform: click("approve", deleteCard),
  },
];

/** The request while it can be approved: what a screen that does not catch up goes on showing. */
export const requestSeen = (world, person) => newest(world.screens.get(person), "approv", (message) => holds(message, [requestCard]) && elementOf(message, "approve"));
