// What pages do by themselves: times in the reader's zone, what comes in as it comes, files into forms. All pages work without it, but that files have to be pasted.
"use strict";

const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.textContent = shown.format(at);
  }
}

// Follows events while the page is seen: a hidden one holds none of the few connections that a browser has for a host. `opened` and
// `lost` are told how it goes. A connection that the server ended is tried again later and later.
function stream(url, names, opened, lost) {
  let source = null;
  let last = null;
  let wait = 1000;
  let timer = null;
  function open() {
    const target = new URL(url, window.location.href);
    if (last) target.searchParams.set("after", last);
    source = new EventSource(target);
    for (const [name, take] of Object.entries(names)) {
      source.addEventListener(name, (event) => {
        wait = 1000;
        if (event.lastEventId) last = event.lastEventId;
        take(event.data);
      });
    }
    source.addEventListener("open", opened);
    source.addEventListener("error", () => {
      lost();
      if (source?.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, 60000);
    });
  }
  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }
  let wanted = true;
  function see() {
    close();
    if (wanted && document.visibilityState === "visible") open();
  }
  document.addEventListener("visibilitychange", see);
  see();
  return (want) => {
    wanted = want;
    see();
  };
}

// The overview. What somebody has marked, or is about to follow, is left alone until they have, and it says so.
function follow(element) {
  const lost = document.querySelector("[data-lost]");
  const held = document.querySelector("[data-held]");
  function take(html) {
    const selection = document.getSelection();
    const isMarked = !selection.isCollapsed && element.contains(selection.anchorNode);
    held.hidden = !(isMarked || element.contains(document.activeElement));
    if (!held.hidden) return;
    element.innerHTML = html;
    localize(element);
  }
  stream(element.dataset.live, { live: take }, () => (lost.hidden = true), () => (lost.hidden = false));
}

const MAX_ROWS = 500;

// Records, the newest on top.
function tail(body) {
  const state = document.querySelector("[data-tail-state]");
  const pause = document.querySelector("[data-pause]");
  const empty = document.querySelector("[data-empty]");
  let isOn = true;
  function say() {
    state.textContent = isOn ? "New ones appear on top." : "Paused.";
    pause.textContent = isOn ? "Pause" : "Go on";
  }
  function take(html) {
    const rows = document.createElement("tbody");
    rows.innerHTML = html;
    localize(rows);
    body.prepend(...rows.children);
    while (body.rows.length > MAX_ROWS) body.lastElementChild.remove();
    if (empty) empty.hidden = true;
  }
  const lost = () => (state.textContent = "Nothing new comes from the server at present; it is tried again.");
  const turn = stream(body.dataset.tail, { records: take }, say, lost);
  pause.hidden = false;
  pause.addEventListener("click", () => {
    isOn = !isOn;
    say();
    turn(isOn);
  });
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
  const text = button.previousElementSibling.textContent;
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
document.querySelectorAll("[data-copy]").forEach((button) => (button.hidden = false));
document.querySelectorAll("[data-live]").forEach(follow);
document.querySelectorAll("[data-tail]").forEach(tail);
document.querySelectorAll("[data-drop]").forEach(drop);
document.querySelectorAll("input[type=file][data-into]").forEach((input) => {
  input.addEventListener("change", () => {
    if (input.files[0]) readInto(input.files[0], document.getElementById(input.dataset.into));
  });
});
