// What moves on a page; without this file each page is whole, it only has to be loaded again.
"use strict";

const byId = (id) => document.getElementById(id);
let seen = document.body.dataset.seen;
let failures = 0;

function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// Make a region what it is on a newly loaded page, and touch nothing in it that is the same: so a
// fold, the focus, a selection and the place in a long log stay as they are.
function update(old, now) {
  if (!old || !now || old.isEqualNode(now)) return;
  if (old.nodeName !== now.nodeName || old.id !== now.id) {
    old.replaceWith(document.importNode(now, true));
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (now.data.startsWith(old.data)) old.appendData(now.data.slice(old.data.length));
    else old.data = now.data;
  } else {
    // A command's fold is the student's, until the command ends.
    if (old.dataset.status !== now.dataset.status) old.open = now.open;
    for (const name of new Set([...old.getAttributeNames(), ...now.getAttributeNames()])) {
      if (name === "open") continue;
      if (now.hasAttribute(name)) old.setAttribute(name, now.getAttribute(name));
      else old.removeAttribute(name);
    }
    const [before, after] = [[...old.childNodes], [...now.childNodes]];
    after.forEach((node, at) => {
      if (before[at]) update(before[at], node);
      else old.append(document.importNode(node, true));
    });
    before.slice(after.length).forEach((node) => node.remove());
  }
}

async function load(options) {
  const url = options?.url ?? location.pathname + location.search;
  const answer = await fetch(url, { cache: "no-store", ...options });
  if (!answer.ok) throw new Error(String(answer.status));
  return parse(await answer.text());
}

async function refresh() {
  const fresh = await load();
  const hadFailed = byId("failed");
  const follows = byId("log") && innerHeight + scrollY > document.documentElement.scrollHeight - 120;
  for (const region of document.querySelectorAll("[data-live], #now")) {
    update(region, fresh.getElementById(region.id));
  }
  document.title = fresh.title;
  offerCopies();
  if (!hadFailed && byId("failed")) byId("failed").scrollIntoView({ block: "center" });
  else if (follows) scrollTo(0, document.documentElement.scrollHeight);
}

function show(state) {
  byId("lost").hidden = true;
  const icon = `/console/static/icon-${state.tone}.svg`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
}

function lost() {
  byId("lost").hidden = false;
  byId("icon").setAttribute("href", "/console/static/icon-idle.svg");
  document.title = "? " + document.title.replace(/^[?✓✕…] /, "");
}

async function look() {
  try {
    const answer = await fetch("/console/state", { cache: "no-store" });
    if (answer.status === 403) location.reload();
    const state = await answer.json();
    if (failures >= 2) seen = "";
    failures = 0;
    show(state);
    if (state.seen !== seen) {
      await refresh();
      seen = state.seen;
    }
  } catch {
    failures += 1;
    if (failures === 2) lost();
  }
  setTimeout(look, document.hidden ? 3000 : 700);
}

async function call(event) {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    const body = new URLSearchParams(new FormData(event.target));
    const fresh = await load({ url: "/console/call", method: "POST", body });
    update(byId("answer"), fresh.getElementById("answer"));
  } catch {
    event.target.submit();
  }
  button.disabled = false;
}

// A button copies the text of an element here, or that of an address.
async function textFor(what) {
  if (!what.startsWith("/")) return byId(what).textContent;
  const answer = await fetch(what);
  if (Number(answer.headers.get("content-length")) > 4e6) throw new Error("Too long: download it");
  return answer.text();
}

async function copy({ target: button }) {
  try {
    await navigator.clipboard.writeText(await textFor(button.dataset.copy));
    button.textContent = "Copied";
  } catch (error) {
    button.textContent = error.message;
  }
}

function offerCopies() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = copy;
  }
}

byId("call")?.addEventListener("submit", call);
offerCopies();
if (!location.hash) byId("failed")?.scrollIntoView({ block: "center" });
setTimeout(look, 1000);
