// The review page. Texts of items are only ever set as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const {name, source, target} = document.body.dataset;
const filters = byId("filters").elements;
const main = byId("main");
let item = null; // as the server sent it
let confirmed = ""; // texts whose problems were shown and saved all the same
let checked = ""; // texts that the findings on the page are about
let checking = 0;
let isBusy = false;
let hasMoved = false;

function make(tag, properties = {}, ...children) {
  const {dataset, ...rest} = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

async function ask(path, body) {
  const options = body === undefined ? {} : {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. What you wrote is kept in this browser; start `rodna benchmark review` again.");
  }
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), {status: response.status});
  return answer;
}

function say(text, isProblem = false) {
  byId("message").textContent = text;
  byId("message").className = isProblem ? "problem" : "";
}

// What was written and not saved outlives a reload, where this browser may store data.
const draftKey = () => `rodna-review/${name}/${item.id}`;
function readDraft() {
  try { return JSON.parse(localStorage.getItem(draftKey()) || "null"); } catch { return null; }
}
function keepDraft() {
  try {
    if (isChanged()) localStorage.setItem(draftKey(), JSON.stringify({machine: machine(), texts: changes()}));
    else localStorage.removeItem(draftKey());
  } catch { /* kept until the page is closed */ }
}

const boxes = () => [...main.querySelectorAll("textarea")];
const texts = () => Object.fromEntries(boxes().map((box) => [box.dataset.path, box.value]));
const machine = () => JSON.stringify(item.segments.map((segment) => segment.machine));
const changes = () => Object.fromEntries(boxes().filter((box, at) => box.value !== item.segments[at].text).map((box) => [box.dataset.path, box.value]));
const isChanged = () => item !== null && Object.keys(changes()).length > 0;

function outcome() {
  const person = {accept: "accepted", edit: "edited", reject: "rejected"}[item.human];
  if (person) return [`${person} by ${item.who}`, item.human === "reject" ? "rejected" : "accepted"];
  const words = {accepted: "accepted by the checks", repaired: "repaired, then accepted by the checks", rejected: "rejected by the checks",
    failed: "not translated"};
  return [`${words[item.status]}, not yet seen`, item.status];
}

function row(segment) {
  const box = make("textarea", {value: segment.text, dir: "auto", lang: target, rows: 1, spellcheck: true, dataset: {path: segment.path}});
  box.setAttribute("aria-label", `Translation of ${segment.label}`);
  const help = [[], []];
  for (const [side, label, text, tag, same] of [[0, "Translated back", segment.back, source, segment.source], [1, "Second translator", segment.second, target, segment.text]]) {
    if (text && text !== same) help[side].push(make("div", {className: "help"}, make("span", {className: "soft", textContent: label}), make("p", {lang: tag, dir: "auto", textContent: text})));
  }
  const notes = [...segment.repairs, segment.because && `First attempt: ${segment.because}`].filter(Boolean).join(" ");
  return make("section", {className: `row${segment.right ? " right" : ""}${segment.option ? " option" : ""}`},
    make("h2", {}, make("span", {textContent: segment.label}), segment.right ? make("span", {className: "tag", textContent: "right answer"}) : ""),
    make("div", {className: "pair"},
      make("div", {}, make("p", {className: "source", lang: source, dir: "auto", textContent: segment.source}), ...help[0]),
      make("div", {}, box,
        make("p", {className: "machine soft", hidden: true}, make("span", {textContent: "Machine: "}), make("span", {lang: target, dir: "auto", textContent: segment.machine})), ...help[1])),
    notes ? make("p", {className: "soft note", textContent: notes}) : "");
}

function findingsList(findings) {
  const line = (finding) => make("li", {className: finding.level},
    make("span", {textContent: finding.level === "problem" ? finding.words : finding.name.replaceAll("_", " ")}),
    finding.detail || finding.value ? make("span", {className: "soft", textContent: ` ${[finding.value, finding.detail].filter(Boolean).join(" · ")}`}) : "");
  const problems = findings.filter((finding) => finding.level === "problem");
  const others = findings.filter((finding) => finding.level !== "problem");
  const unknown = others.filter((finding) => finding.level === "unknown").length;
  const summary = `${others.length - unknown} checks passed` + (unknown ? `, ${unknown} could not tell` : "");
  return [
    problems.length ? make("ul", {className: "problems"}, ...problems.map(line)) : "",
    others.length ? make("details", {}, make("summary", {textContent: summary}), make("ul", {}, ...others.map(line))) : "",
  ].filter(Boolean);
}

function show(answer) {
  item = answer.item;
  confirmed = checked = "";
  if (item === null) {
    main.replaceChildren(make("p", {className: "empty", textContent: answer.total ? "No more items this way." : "No item is like this."}));
    if (answer.total) main.append(make("button", {type: "button", textContent: "Back to the first", onclick: () => move(0, 1)}));
    update();
    return;
  }
  const [words, kind] = outcome();
  const raw = item.others.map((other) => make("div", {}, make("dt", {textContent: other.name}), make("dd", {lang: source, dir: "auto", textContent: other.text})));
  const reasons = item.segments.length ? [] : item.reasons.map((reason) => make("li", {className: "problem", textContent: reason.words}));
  const rows = item.segments.map(row);
  const compare = make("button", {type: "button", id: "compare", title: "Show the translations back, and the second translator's (c)", textContent: "Compare"});
  compare.hidden = !rows.some((one) => one.querySelector(".help"));
  compare.addEventListener("click", () => { document.body.classList.toggle("comparing"); update(); });
  main.replaceChildren(
    make("div", {className: "head"},
      make("span", {className: "soft", textContent: answer.rank ? `${answer.rank} of ${answer.total}` : `line ${item.line}`}),
      make("b", {className: "identity", dir: "auto", textContent: item.id}),
      make("span", {className: `outcome ${kind}`, textContent: words}), compare),
    make("div", {id: "findings"}, reasons.length ? make("ul", {className: "problems"}, ...reasons) : "", ...item.detail.map((text) => make("p", {className: "soft", textContent: text})), ...findingsList(item.findings)),
    ...rows,
    raw.length ? make("details", {className: "others", open: !item.segments.length}, make("summary", {textContent: item.segments.length ? "Not translated" : "The item as it is"}), make("dl", {}, ...raw)) : "");
  const draft = readDraft();
  if (draft && draft.machine === machine()) {
    for (const box of boxes()) box.value = draft.texts[box.dataset.path] ?? box.value;
    if (isChanged()) { say("What you wrote here before is not saved yet."); recheck(); }
  }
  boxes().forEach(fit);
  location.replace(`#${new URLSearchParams({...filter(), at: item.place})}`);
  update();
  if (matchMedia("(max-width: 44rem)").matches && hasMoved) main.scrollIntoView({block: "start"});
  else window.scrollTo(0, 0);
  hasMoved = true;
}

// Where the browser cannot do `field-sizing: content`.
function fit(box) {
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

function update() {
  const changed = isChanged();
  const isSaved = item !== null && ["accept", "edit"].includes(item.human);
  byId("accept").disabled = isBusy || item === null || !item.segments.length || boxes().some((box) => !box.value.trim());
  byId("reject").disabled = isBusy || item === null;
  byId("accept").textContent = changed ? (confirmed === JSON.stringify(texts()) ? "Save all the same" : "Save edit") : "Accept";
  byId("accept").setAttribute("aria-pressed", String(isSaved && !changed));
  byId("reject").setAttribute("aria-pressed", String(item !== null && item.human === "reject"));
  byId("compare")?.setAttribute("aria-pressed", String(document.body.classList.contains("comparing")));
  byId("previous").disabled = byId("next").disabled = isBusy;
  boxes().forEach((box, at) => {
    const line = box.parentElement.querySelector(".machine");
    line.hidden = box.value === item.segments[at].machine || !item.segments[at].machine;
  });
}

function progress(overview) {
  const seen = overview.human.seen;
  byId("progress").max = overview.items;
  byId("progress").value = seen;
  byId("seen").textContent = `${seen.toLocaleString("en")} of ${overview.items.toLocaleString("en")} seen`;
  const unseen = overview.items - seen;
  fill("seen", [["no", "not yet", unseen], ["yes", "by a person", seen], ["accept", "accepted", overview.human.accept],
    ["edit", "edited", overview.human.edit], ["reject", "rejected", overview.human.reject]]);
  fill("status", Object.entries(overview.status).map(([status, count]) => [status, status, count]));
  fill("reason", overview.reasons.map((reason) => [reason.name, reason.words.replace(/\.$/, ""), reason.count]));
  if (overview.problem) say(`The benchmark's files could not be written: ${overview.problem}`, true);
}

function fill(field, entries) {
  const select = filters[field];
  const now = select.value;
  select.replaceChildren(make("option", {value: "", textContent: "all"}),
    ...entries.map(([value, words, count]) => make("option", {value, textContent: `${words} (${count.toLocaleString("en")})`})));
  select.value = now;
}

const filter = () => Object.fromEntries(["seen", "status", "reason", "order", "find"].map((field) => [field, filters[field].value]));

async function move(start, step) {
  await busy(async () => {
    const answer = await ask(`api/item?${new URLSearchParams({...filter(), start, step})}`);
    say(isChanged() ? `What you wrote in ${item.id} is not saved yet; it is there when you come back.` : "");
    show(answer);
  });
}

async function busy(work) {
  if (isBusy) return;
  isBusy = true;
  update();
  try { await work(); } catch (error) { say(error.message, true); }
  isBusy = false;
  update();
}

async function recheck() {
  const turn = ++checking;
  const now = JSON.stringify(texts());
  const {findings} = await ask("api/check", {id: item.id, texts: texts()});
  if (turn !== checking) return;
  checked = now;
  byId("findings").replaceChildren(...findingsList(findings));
}

async function save(keep) {
  if (item === null || byId(keep ? "accept" : "reject").disabled) return;
  await busy(async () => {
    const now = JSON.stringify(texts());
    if (keep && isChanged() && confirmed !== now) {
      if (checked !== now) await recheck();
      if (main.querySelector("#findings .problems")) {
        confirmed = now;
        say("The checks find something, see above. Save again if it is right all the same.", true);
        main.querySelector("#findings").scrollIntoView({block: "center"});
        return;
      }
    }
    let answer;
    try {
      answer = await ask("api/verdict", {id: item.id, keep, texts: texts(), revision: item.revision});
    } catch (error) {
      if (error.status !== 409) throw error;
      await conflict(error.message);
      return;
    }
    try { localStorage.removeItem(draftKey()); } catch { /* nothing was stored */ }
    const place = item.place;
    say(`Saved: ${item.id} ${keep ? (answer.item.human === "edit" ? "as you wrote it" : "accepted") : "rejected"}.`);
    progress(answer.overview);
    show(await ask(`api/item?${new URLSearchParams({...filter(), start: place + 1, step: 1})}`));
  });
}

// Somebody judged the item since it was shown: show what they said, and keep what was written here.
async function conflict(message) {
  const mine = changes();
  const wasChanged = isChanged();
  const answer = await ask(`api/item?${new URLSearchParams({id: item.id})}`);
  answer.item.place = item.place;
  try { localStorage.removeItem(draftKey()); } catch { /* nothing was stored */ }
  show(answer);
  if (wasChanged) {
    boxes().forEach((box, at) => {
      if (!Object.hasOwn(mine, box.dataset.path) || mine[box.dataset.path] === box.value) return;
      box.parentElement.append(make("p", {className: "theirs soft"}, make("span", {textContent: "In the file now: "}), make("span", {lang: target, dir: "auto", textContent: item.segments[at].text})));
      box.value = mine[box.dataset.path];
      fit(box);
    });
    keepDraft();
    recheck().catch((error) => say(error.message, true));
  }
  progress(await ask("api/overview"));
  say(`${message.split("\n")[0]}. ${wasChanged ? "Your text is kept: save again to put it in the place of theirs." : "This is how it stands now."}`, true);
}

main.addEventListener("input", (event) => {
  if (event.target.tagName !== "TEXTAREA") return;
  fit(event.target);
  keepDraft();
  update();
  clearTimeout(main.timer);
  main.timer = setTimeout(() => recheck().catch((error) => say(error.message, true)), 400);
});
// The second click of a double click would judge the next item, unseen.
byId("accept").addEventListener("click", (event) => { if (event.detail < 2) save(true); });
byId("reject").addEventListener("click", (event) => { if (event.detail < 2) save(false); });
byId("previous").addEventListener("click", () => move(item ? item.place - 1 : 1e9, -1));
byId("next").addEventListener("click", () => move(item ? item.place + 1 : 0, 1));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("change", async () => {
  await move(0, 1);
  try { progress(await ask("api/overview")); } catch { /* said by the move */ }
});

document.addEventListener("keydown", (event) => {
  const isWriting = /^(TEXTAREA|INPUT|SELECT)$/.test(event.target.tagName);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (!event.repeat) save(true); return; }
  if (event.key === "Escape" && isWriting) { event.target.blur(); return; }
  if (isWriting || event.ctrlKey || event.altKey || event.metaKey) return;
  const keys = {c: () => byId("compare")?.click(), a: () => save(true), r: () => save(false), e: () => boxes()[0]?.focus(), "/": () => filters.find.focus(),
    j: () => byId("next").click(), ArrowRight: () => byId("next").click(), k: () => byId("previous").click(), ArrowLeft: () => byId("previous").click()};
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  // A key that is held down must not judge what nobody has read.
  if (event.repeat && "ar".includes(event.key)) return;
  keys[event.key]();
});
window.addEventListener("beforeunload", (event) => { if (isChanged()) event.preventDefault(); });

(async () => {
  try {
    const start = new URLSearchParams(location.hash.slice(1));
    progress(await ask("api/overview"));
    for (const field of ["seen", "status", "reason", "order", "find"]) filters[field].value = start.get(field) ?? (field === "seen" && !start.size ? "no" : "");
    await move(Number(start.get("at")) || 0, 1);
  } catch (error) {
    say(error.message, true);
  }
})();
