// What pages do by themselves: times in the reader's zone, what comes in as it comes, files into forms. All pages work without it.
"use strict";

const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.textContent = shown.format(at);
  }
}

// The overview. The browser connects again by itself; meanwhile the page says that it is old.
function follow(element) {
  const lost = document.querySelector("[data-lost]");
  const source = new EventSource(element.dataset.live);
  source.addEventListener("live", (event) => {
    // What somebody reads or is about to follow is left alone until they have.
    if (element.contains(document.activeElement) || !document.getSelection().isCollapsed) return;
    element.innerHTML = event.data;
    localize(element);
  });
  source.addEventListener("open", () => (lost.hidden = true));
  source.addEventListener("error", () => {
    lost.hidden = false;
    if (source.readyState === EventSource.CLOSED) window.location.reload();
  });
}

const MAX_ROWS = 500;

// Records, the newest on top.
function tail(body) {
  const state = document.querySelector("[data-tail-state]");
  const pause = document.querySelector("[data-pause]");
  const empty = document.querySelector("[data-empty]");
  const url = new URL(body.dataset.tail, window.location.href);
  let source = null;
  function start() {
    source = new EventSource(url);
    state.textContent = "New ones appear on top.";
    pause.textContent = "Pause";
    source.addEventListener("records", (event) => {
      const rows = document.createElement("tbody");
      rows.innerHTML = event.data;
      localize(rows);
      const newest = rows.querySelector("tr")?.dataset.number;
      if (newest) url.searchParams.set("after", newest);
      body.prepend(...rows.children);
      while (body.rows.length > MAX_ROWS) body.lastElementChild.remove();
      if (empty) empty.hidden = true;
    });
    source.addEventListener("error", () => {
      state.textContent = "Nothing new comes from the server at present; it is tried again.";
      if (source.readyState === EventSource.CLOSED) stop("The server ended it. Load the page again.");
    });
    source.addEventListener("open", () => (state.textContent = "New ones appear on top."));
  }
  function stop(why) {
    source?.close();
    source = null;
    state.textContent = why;
    pause.textContent = "Go on";
  }
  pause.hidden = false;
  pause.addEventListener("click", () => (source ? stop("Paused.") : start()));
  start();
}

function readInto(file, area) {
  file.text().then((text) => {
    area.value = text;
    area.focus();
  });
}

function drop(area) {
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    area.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    readInto(file, area);
  });
}

function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  navigator.clipboard.writeText(text).then(
    () => (button.textContent = "Copied"),
    () => (button.textContent = "Select and copy it"),
  );
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const search = document.querySelector("[data-search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

localize(document);
document.querySelectorAll("[data-live]").forEach(follow);
document.querySelectorAll("[data-tail]").forEach(tail);
document.querySelectorAll("[data-drop]").forEach(drop);
document.querySelectorAll("input[type=file][data-into]").forEach((input) => {
  input.addEventListener("change", () => {
    if (input.files[0]) readInto(input.files[0], document.getElementById(input.dataset.into));
  });
});
