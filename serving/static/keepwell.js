"use strict";

// The two ends of a range keep a step between them; the one that is moved pushes the other.
document.addEventListener("input", (event) => {
  const moved = event.target;
  if (!(moved instanceof HTMLInputElement) || moved.type !== "range") return;
  const low = document.getElementById("from");
  const high = document.getElementById("to");
  if (!low || !high) return;
  const step = Number(low.step);
  if (moved === low) {
    low.value = String(Math.min(Number(low.value), 100 - step));
    high.value = String(Math.max(Number(high.value), Number(low.value) + step));
  } else {
    high.value = String(Math.max(Number(high.value), step));
    low.value = String(Math.min(Number(low.value), Number(high.value) - step));
  }
  for (const end of [low, high]) end.setAttribute("aria-valuetext", `${end.value}%`);
}, true);

// A slider and the number beside it say the same; at its upper end there is no limit, and the number is empty.
document.addEventListener("input", (event) => {
  const moved = event.target;
  const twin = moved instanceof HTMLInputElement && moved.dataset.twin ? document.getElementById(moved.dataset.twin) : null;
  if (!twin) return;
  if (moved.type === "range") twin.value = moved.value === moved.max ? "" : moved.value;
  else twin.value = moved.value === "" ? twin.max : moved.value;
  const slider = moved.type === "range" ? moved : twin;
  slider.setAttribute("aria-valuetext", slider.value === slider.max ? slider.dataset.unlimited : slider.value);
}, true);

// A region that is wider than its place says so, and fades at the edge behind which there is more.
function tellWidth(region) {
  const hidden = region.scrollWidth - region.clientWidth;
  region.toggleAttribute("data-more", hidden - region.scrollLeft > 1);
  if (hidden > 1) region.dataset.wide = document.body.dataset.sideways;
  else delete region.dataset.wide;
}

const widths = new ResizeObserver((changed) => requestAnimationFrame(() => new Set(changed.map((one) => one.target.closest(".scroll"))).forEach((region) => region && tellWidth(region))));

function watchWidths() {
  for (const region of document.querySelectorAll(".scroll")) {
    for (const part of [region, ...region.children]) widths.observe(part);
    region.onscroll = () => tellWidth(region);
  }
}

watchWidths();
document.addEventListener("htmx:afterSettle", watchWidths);
document.addEventListener("htmx:oobAfterSwap", watchWidths);

// An answer that is no success is shown too: a failure page takes the place of the whole page.
document.addEventListener("htmx:responseError", () => window.location.reload());
