// What pages need beyond htmx: no inline script is allowed, so everything hangs on data attributes.
"use strict";

// Refused changes (409, 422, ...) bring a part of a page that says why: show it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const status = event.detail.xhr.status;
  if (status >= 400 && event.detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
