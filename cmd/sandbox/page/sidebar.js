// The list of channels, direct messages and apps, with what is unread.

import { h, icon, sync } from "./dom.js";
import { directory, nameOf } from "./mrkdwn.js";
import { avatar } from "./people.js";

/** The name of a conversation as it is said: "#name" or a member's name. */
export const titleOf = (channel) => (channel.kind === "im" ? nameOf(channel.with) : `#${channel.name}`);

function entry(channel, current, app) {
  const member = channel.kind === "im" ? directory.members.get(channel.with) : null;
  const unread = channel.unread > 0;
  const label = `${titleOf(channel)}${unread ? `, ${channel.unread} unread` : ""}`;
  return {
    key: channel.id || `app/${channel.with}`,
    hash: JSON.stringify([channel.name, channel.unread, current, member, directory.me]),
    build: () =>
      h(
        "button",
        { type: "button", class: unread ? "entry unread" : "entry", "aria-current": current && "page", "aria-label": label, "data-focus": channel.id, onclick: () => app.open(channel) },
        member ? avatar(member, channel.with, "tiny") : icon("hash"),
        h("span", { class: "entry-name" }, member ? nameOf(channel.with) : channel.name),
        unread && (channel.kind === "im" ? h("span", { class: "badge" }, String(channel.unread)) : h("span", { class: "dot" })),
      ),
  };
}

/** Mounts the sidebar in root. app needs open(channel). */
export function mountSidebar(root, app) {
  return function render(channels, current, bot) {
    const groups = [
      ["Channels", channels.filter((channel) => channel.kind !== "im")],
      ["Direct messages", channels.filter((channel) => channel.kind === "im" && channel.with !== bot)],
      ["Apps", channels.filter((channel) => channel.kind === "im" && channel.with === bot)],
    ].filter(([, list]) => list.length > 0);
    sync(root, groups.map(([name]) => ({ key: name, hash: "", build: () => h("section", { "aria-label": name }, h("h2", null, name), h("div", { class: "entries" })) })));
    groups.forEach(([, list], i) => {
      sync(root.children[i].querySelector(".entries"), list.map((channel) => entry(channel, channel === current, app)));
    });
  };
}
