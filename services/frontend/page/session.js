// Who uses the page. The token is in a cookie that scripts cannot read: the service is asked.

const ENDED = "Your session has ended. Sign in again to go on.";
const channel = new BroadcastChannel("session");

export function session({ $, ask, enter, leave }) {
  let now = { sign_in: "", user: null };
  let checks = 0;

  function show(found, reason = "") {
    const isIn = found.sign_in === "off" || Boolean(found.user);
    const changed = found.user !== now.user || found.sign_in !== now.sign_in;
    now = found;
    $("app").hidden = !isIn;
    $("live").hidden = !isIn;
    $("sign-in").hidden = isIn;
    $("me").hidden = !found.user;
    $("who").hidden = found.sign_in !== "off";
    $("everyone").hidden = found.sign_in !== "off";
    $("by-name").hidden = found.sign_in !== "development";
    $("elsewhere").hidden = found.sign_in !== "external";
    $("reason").textContent = reason;
    $("reason").hidden = !reason;
    $("name").textContent = $("name").title = found.user ?? "";
    $("avatar").textContent = [...(found.user ?? "")][0]?.toUpperCase() ?? "";
    if (isIn && changed) enter(found.user);
    else if (!isIn) out();
  }

  function out() {
    leave();
    const field = $("by-name").elements.user;
    const asked = new URLSearchParams(location.search).get("user");
    field.value ||= asked ?? localStorage.getItem("user") ?? "";
    field.focus();
    field.select();
  }

  // Another window may have signed out, or signed in as somebody else.
  async function check() {
    const own = ++checks;
    const before = now.user;
    let found = now;
    let reason = "";
    try {
      found = await ask("GET", "session");
      reason = before && !found.user ? ENDED : "";
    } catch (error) {
      if (now.sign_in) throw error;
      reason = error.message;
    }
    if (own === checks) show(found, reason);
  }

  $("by-name").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    try {
      const user = event.target.elements.user.value.trim();
      const found = await ask("POST", "session", { user });
      checks++;
      channel.postMessage("changed");
      show(found);
      event.target.reset();
    } catch (error) {
      $("reason").textContent = error.message;
      $("reason").hidden = false;
    } finally {
      button.disabled = false;
    }
  });

  $("sign-out").addEventListener("click", async () => {
    try {
      await ask("DELETE", "session");
    } catch (error) {
      $("problem").textContent = error.message;
      $("problem").hidden = false;
      return;
    }
    checks++;
    channel.postMessage("changed");
    show({ ...now, user: null }, "You have signed out.");
  });

  $("again").addEventListener("click", () => location.reload());
  channel.addEventListener("message", () => check());

  return { check };
}
