"use strict";
const group = document.getElementById("group");
const result = document.getElementById("result");
const words = document.getElementById("words");
const count = document.getElementById("count");
const items = [...document.querySelectorAll("#items > details")];
const texts = new Map();

function textOf(item) {
  if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
  return texts.get(item);
}

function filter() {
  const wanted = words.value.trim().toLowerCase();
  let shown = 0;
  for (const item of items) {
    const fits =
      (!group.value || item.dataset.group === group.value) &&
      (!result.value || item.dataset.results.split(" ").includes(result.value)) &&
      (!wanted || textOf(item).includes(wanted));
    item.hidden = !fits;
    shown += fits;
  }
  count.textContent = `${shown} of ${items.length}`;
}

for (const each of [group, result, words]) each.addEventListener("input", filter);
document.getElementById("filters").hidden = false;
filter();
