// Live pages: one stream per page in view. A browser has six connections to us: a tab that nobody
// looks at gives its own back, and catches up when it is shown again.
"use strict";

(() => {
  const TEXTS = {
    on: "Live",
    off: "Not live: what you see may be old. Trying again …",
    hidden: "Paused while out of sight",
    ended: "You are signed out. Load the page to sign in again.",
    full: "Not live: too many pages are open. Close some, then load this one again.",
  };
  const QUIET_MS = 5 * 60 * 1000;
  // The server says every five seconds that it is there; a connection may stand though it is not.
  const SILENCE_MS = 15 * 1000;
  let used = Date.now();
  let last = "";

  const say = (state) => {
    if (state === last) return;
    last = state;
    document.querySelectorAll("[data-live-state]").forEach((place) => {
      place.textContent = TEXTS[state];
      place.dataset.live = state === "on" ? "on" : state === "hidden" ? "waiting" : "off";
    });
  };

  class Stream extends EventTarget {
    constructor(url) {
      super();
      this.url = url;
      this.names = new Set();
      this.done = false;
      this.turn = () => (document.hidden ? this.rest() : this.open());
      document.addEventListener("visibilitychange", this.turn);
      this.open();
    }
    get readyState() { return this.done ? EventSource.CLOSED : this.inner?.readyState ?? EventSource.CONNECTING; }
    addEventListener(name, listener) {
      super.addEventListener(name, listener);
      if (this.names.has(name)) return;
      this.names.add(name);
      this.forward(name);
    }
    forward(name) {
      this.inner?.addEventListener(name, (event) => this.dispatchEvent(new MessageEvent(name, { data: event.data })));
    }
    open() {
      if (this.done || this.inner || document.hidden) return;
      const inner = new EventSource(this.url);
      this.inner = inner;
      this.names.forEach((name) => this.forward(name));
      inner.onopen = (event) => {
        this.hear();
        this.onopen?.(event);
        // Whatever happened before: ask once.
        this.names.forEach((name) => this.dispatchEvent(new MessageEvent(name)));
      };
      inner.onerror = () => {
        clearTimeout(this.silence);
        say("off");
        if (inner.readyState !== EventSource.CLOSED || this.done) return;
        this.inner = null;
        setTimeout(() => this.open(), 15000);
      };
      inner.addEventListener("alive", () => this.hear());
      inner.addEventListener("ended", (event) => {
        this.close();
        say(event.data === "full" ? "full" : "ended");
      });
    }
    hear() {
      say("on");
      clearTimeout(this.silence);
      this.silence = setTimeout(() => say("off"), SILENCE_MS);
    }
    rest() {
      clearTimeout(this.silence);
      this.inner?.close();
      this.inner = null;
      if (!this.done) say("hidden");
    }
    close() {
      this.done = true;
      this.rest();
      document.removeEventListener("visibilitychange", this.turn);
    }
  }
  htmx.createEventSource = (url) => new Stream(url);

  // What a page asks by itself must not keep somebody signed in who has left.
  ["pointerdown", "keydown", "wheel"].forEach((name) =>
    document.addEventListener(name, () => { used = Date.now(); }, { passive: true }));
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.closest("[data-live-part]") && Date.now() - used > QUIET_MS) {
      event.detail.headers["X-Lockstep-Live"] = "1";
    }
  });
  document.addEventListener("htmx:sendError", () => say("off"));
})();
