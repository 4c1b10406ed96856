// A page of the study: every choice is sent at once, and again until it is kept.

const form = /** @type {HTMLFormElement} */ (document.getElementById("questions"));
const next = /** @type {HTMLButtonElement} */ (document.getElementById("next"));
const again = /** @type {HTMLButtonElement} */ (document.getElementById("again"));
const state = /** @type {HTMLElement} */ (document.getElementById("state"));
const videos = [...document.querySelectorAll("video")];
const LONGEST_WAIT_MS = 8000;
/** @type {Map<string, number>} what was chosen last, by question; an older answer on its way is given up */
const latest = new Map();
let waiting = 0;

/** @param {string} text */
const say = (text) => {
  state.textContent = text;
};

const update = () => {
  const questions = [...form.querySelectorAll("fieldset")];
  next.disabled = waiting > 0 || !questions.every((field) => field.querySelector("input:checked"));
};

/** @param {number} ms */
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * @param {string} question
 * @param {string} answer
 */
const keep = async (question, answer) => {
  const turn = (latest.get(question) ?? 0) + 1;
  latest.set(question, turn);
  waiting += 1;
  update();
  for (let wait = 300; latest.get(question) === turn; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    const reply = await fetch("answer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ pair: form.dataset.pair, question, answer }),
    }).catch(() => null);
    if (reply?.ok) {
      say("");
      break;
    }
    if (reply && reply.status < 500) {
      say(await reply.text());
      break;
    }
    say(reply ? await reply.text() : "Not kept yet: the server can't be reached. Trying again.");
    await pause(wait);
  }
  waiting -= 1;
  update();
};

form.addEventListener("change", (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  void keep(input.name, input.value);
});

const playFromStart = () => {
  for (const video of videos) {
    video.currentTime = 0;
    void video.play().catch(() => {});
  }
};

again.addEventListener("click", playFromStart);
next.addEventListener("click", () => location.assign("page"));
update();
playFromStart();
