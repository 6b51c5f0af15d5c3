// The emoji names that bots and people use in practice, as characters. A name
// that is not here is shown as it was typed.

const names = {
  "+1": "👍", "-1": "👎", "100": "💯", alarm_clock: "⏰", arrow_down: "⬇️", arrow_forward: "▶️", arrow_left: "⬅️",
  arrow_right: "➡️", arrow_up: "⬆️", arrows_counterclockwise: "🔄", ballot_box_with_check: "☑️", bar_chart: "📊",
  beers: "🍻", bell: "🔔", black_circle: "⚫", black_square_button: "🔲", blush: "😊", bomb: "💣", book: "📖",
  bookmark: "🔖", boom: "💥", bug: "🐛", bulb: "💡", busts_in_silhouette: "👥", calendar: "📆", chart_with_downwards_trend: "📉",
  chart_with_upwards_trend: "📈", clap: "👏", clipboard: "📋", clock1: "🕐", closed_lock_with_key: "🔐", cloud: "☁️",
  computer: "💻", construction: "🚧", cry: "😢", date: "📅", double_vertical_bar: "⏸️", e_mail: "📧", email: "📧",
  envelope: "✉️", exclamation: "❗", eyes: "👀", fast_forward: "⏩", file_folder: "📁", fire: "🔥", gear: "⚙️",
  ghost: "👻", globe_with_meridians: "🌐", green_circle: "🟢", grey_question: "❔", grin: "😁", grinning: "😀",
  hammer_and_wrench: "🛠️", handshake: "🤝", heart: "❤️", heavy_check_mark: "✔️", heavy_minus_sign: "➖",
  heavy_multiplication_x: "✖️", heavy_plus_sign: "➕", hourglass: "⌛", hourglass_flowing_sand: "⏳", house: "🏠",
  inbox_tray: "📥", information_source: "ℹ️", joy: "😂", key: "🔑", label: "🏷️", large_blue_circle: "🔵",
  large_green_circle: "🟢", large_orange_circle: "🟠", large_red_circle: "🔴", large_yellow_circle: "🟡", link: "🔗",
  lock: "🔒", lock_with_ink_pen: "🔏", loudspeaker: "📢", mag: "🔍", mailbox: "📫", mega: "📣", memo: "📝",
  moneybag: "💰", muscle: "💪", no_bell: "🔕", no_entry: "⛔", no_entry_sign: "🚫", ok: "🆗", ok_hand: "👌",
  old_key: "🗝️", orange_circle: "🟠", outbox_tray: "📤", package: "📦", page_facing_up: "📄", paperclip: "📎",
  partying_face: "🥳", pause_button: "⏸️", pencil: "📝", pencil2: "✏️", pensive: "😔", point_down: "👇", point_left: "👈",
  point_right: "👉", point_up: "☝️", pray: "🙏", purple_circle: "🟣", pushpin: "📌", question: "❓", radio_button: "🔘",
  raised_hand: "✋", raised_hands: "🙌", recycle: "♻️", red_circle: "🔴", repeat: "🔁", robot_face: "🤖", rocket: "🚀",
  rotating_light: "🚨", satellite_antenna: "📡", scream: "😱", shield: "🛡️", skull: "💀", sleeping: "😴",
  slightly_smiling_face: "🙂", small_blue_diamond: "🔹", small_orange_diamond: "🔸", small_red_triangle: "🔺", smile: "😄",
  smiley: "😃", snowflake: "❄️", soon: "🔜", sos: "🆘", sparkles: "✨", speech_balloon: "💬", star: "⭐", stop_sign: "🛑",
  stopwatch: "⏱️", sunglasses: "😎", sweat_smile: "😅", tada: "🎉", thinking_face: "🤔", thumbsdown: "👎", thumbsup: "👍",
  timer_clock: "⏲️", triangular_flag_on_post: "🚩", trophy: "🏆", unlock: "🔓", wastebasket: "🗑️", wave: "👋",
  warning: "⚠️", white_check_mark: "✅", white_circle: "⚪", white_large_square: "⬜", wink: "😉", wrench: "🔧", x: "❌",
  yellow_circle: "🟡", zap: "⚡", zzz: "💤",
};

const known = new Map(Object.entries(names));

/** The character of an emoji name, or null. Skin tones are ignored. */
export const emojiOf = (name) => known.get(name.replace(/::skin-tone-\d$/, "")) ?? null;

/** Replaces every known :name: in a plain text. */
export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => emojiOf(name) ?? whole);
}
