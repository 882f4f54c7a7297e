"use strict";

// Chinese is written without spaces, and no browser knows where its words end: a headline breaks between them alone.
(() => {
  if (!Intl.Segmenter) return;
  const words = new Intl.Segmenter("zh", { granularity: "word" });
  const endsInHan = /\p{Script=Han}$/u;
  const beginsInHanOrNumber = /^[\p{Script=Han}\d]/u;

  function keepWords(headline) {
    const texts = document.createTreeWalker(headline, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) found.push(texts.currentNode);
    for (const text of found) {
      const parts = Array.from(words.segment(text.data), (word) => word.segment);
      const apart = parts.flatMap((part, at) => (at && endsInHan.test(parts[at - 1]) && beginsInHanOrNumber.test(part) ? [document.createElement("wbr"), part] : [part]));
      text.replaceWith(...apart);
    }
    headline.dataset.words = "kept";
  }

  function keepAll() {
    for (const headline of document.querySelectorAll(":is(h1, .headline, .lead):not([data-words])")) keepWords(headline);
  }

  keepAll();
  document.addEventListener("htmx:afterSettle", keepAll);
  document.addEventListener("htmx:oobAfterSwap", keepAll);
})();
