"use strict";

const gallery = document.getElementById("gallery");
const form = document.getElementById("filters");
const shown = document.getElementById("shown");

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

const cards = [...gallery.children].map((card) => ({
  card,
  text: fold([card.dataset.name, ...[...card.querySelectorAll("p[dir]")].map((p) => p.textContent)].join("\n")),
  split: card.dataset.split,
  findings: card.dataset.findings.split(" "),
  words: Number(card.dataset.words),
  side: Number(card.dataset.side),
  area: Number(card.dataset.area),
  name: card.dataset.name,
}));

const orders = {
  name: (a, b) => (a.name < b.name ? -1 : 1),
  longest: (a, b) => b.words - a.words,
  shortest: (a, b) => a.words - b.words,
  largest: (a, b) => b.area - a.area,
  smallest: (a, b) => a.area - b.area,
};

const limit = (name, otherwise) => {
  const value = form.elements[name].value;
  return value === "" ? otherwise : Number(value);
};

function filter() {
  const wanted = fold(form.elements.search.value).split(/\s+/).filter(Boolean);
  const split = form.elements.split?.value;
  const finding = form.elements.finding?.value;
  const [least, most] = [limit("least", 0), limit("most", Infinity)];
  const side = limit("side", 0);
  let count = 0;
  for (const item of cards) {
    const matches =
      wanted.every((word) => item.text.includes(word)) &&
      (!split || item.split === split) &&
      (!finding || item.findings.includes(finding)) &&
      least <= item.words && item.words <= most &&
      side <= item.side;
    item.card.hidden = !matches;
    count += matches;
  }
  shown.textContent = `${count.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
}

function sort() {
  const order = orders[form.elements.sort.value];
  gallery.append(...[...cards].sort(order).map((item) => item.card));
}

// In a notebook the page has no address of its own, so links such as "#gallery" do not work.
document.querySelector("nav").addEventListener("click", (event) => {
  const section = event.target.hash && document.querySelector(event.target.hash);
  if (section) {
    event.preventDefault();
    section.scrollIntoView();
    section.focus();
  }
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(() => { sort(); filter(); }));
form.addEventListener("input", filter);
form.elements.sort.addEventListener("change", sort);
filter();
