// The dialogue with the assistant. The conversation on the server is the truth: what was just sent
// is shown until it is read from there.

const CONVERSATION = "page";
const DID = {
  add_task: "task added",
  complete_task: "task completed",
  update_task: "task changed",
  set_reminder: "reminder set",
  delete_task: "task deleted",
};
const DOING = {
  list_tasks: "looking at your tasks …",
  add_task: "adding a task …",
  complete_task: "completing a task …",
  update_task: "changing a task …",
  set_reminder: "setting a reminder …",
  delete_task: "deleting a task …",
};
const CHOICES = { delete: ["Yes, delete", "Keep"], change: ["Yes, change it", "Leave it"] };

// `crypto.randomUUID` exists in secure contexts only.
const newId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");

export function dialogue({ $, element, ask, api, attempt, refresh, newest, changed }) {
  let messages = [];
  let sending = [];

  function draw() {
    const stored = new Set(messages.map((each) => each.id));
    sending = sending.filter((each) => !(stored.has(each.id) && each.done));
    const shown = [...messages, ...sending.filter((each) => !stored.has(each.id))];
    $("talk").replaceChildren(...shown.map((each, at) => bubble(each, at === shown.length - 1)));
    $("welcome").hidden = shown.length > 0;
    $("working").hidden = !waiting();
    $("scroll").scrollTop = $("scroll").scrollHeight;
  }

  const waiting = () => sending.some((each) => !each.done);

  function bubble(message, isLast) {
    const item = element("li", "", { className: message.role });
    item.append(element("p", message.text));
    if (message.did) {
      const tags = element("small", "", { className: "did" });
      tags.append(...[...new Set(message.did)].map((each) => element("span", DID[each] ?? each)));
      item.append(tags);
    }
    const choices = isLast && CHOICES[message.asks?.about];
    if (choices) item.append(choice(choices));
    return item;
  }

  function choice([yes, no]) {
    const buttons = element("div", "", { className: "buttons" });
    buttons.append(
      element("button", yes, { type: "button", className: "danger", onclick: () => say("yes") }),
      element("button", no, { type: "button", className: "quiet", onclick: () => say("no") }),
    );
    return buttons;
  }

  const own = () => api(`conversations/${CONVERSATION}`);

  // A response for one user is not shown to the next one.
  const newestTalk = newest(({ where, found }) => {
    if (where !== own()) return;
    messages = found.messages;
    draw();
  });

  const read = () =>
    newestTalk(async () => {
      const where = own();
      const found = await ask("GET", where).catch((error) => {
        if (error.status === 404) return { messages: [] };
        throw error;
      });
      return { where, found };
    });

  // Returns whether the turn is in the conversation, whatever became of it.
  async function say(text) {
    const turn = { role: "user", text, id: newId() };
    const seen = messages.at(-1)?.id;
    sending.push(turn);
    $("doing").textContent = "";
    draw();
    const made = await attempt(() =>
      ask("POST", api("chat"), {
        text,
        id: turn.id,
        conversation: CONVERSATION,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
        ...(seen && { seen }),
      }),
    );
    turn.done = true;
    await refresh(read);
    const stored = messages.some((each) => each.id === turn.id);
    if (!stored && !made) sending = sending.filter((each) => each !== turn);
    draw();
    if (made?.answer.did) changed();
    return Boolean(made) || stored;
  }

  $("say").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = event.target.elements.text;
    const text = field.value.trim();
    field.value = "";
    field.focus();
    if (!text) return;
    // What was refused is put back, unless something else was typed meanwhile.
    if (!(await say(text)) && !field.value) field.value = text;
  });

  for (const idea of document.querySelectorAll(".ideas button"))
    idea.addEventListener("click", () => say(idea.textContent));

  return {
    read,
    forget() {
      messages = [];
      sending = [];
      draw();
    },
    told(update) {
      if (update.conversation !== CONVERSATION) return;
      if (update.what === "said") refresh(read);
      else if (waiting()) $("doing").textContent = DOING[update.tool] ?? "";
    },
  };
}
