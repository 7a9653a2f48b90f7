"use strict";
/* The sources of the pictures in this folder, and their licences. */

document.addEventListener("DOMContentLoaded", async () => {
  const credits = await toolbox.load("credits");
  document.getElementById("credits").append(...credits.map((text) => toolbox.element("li", { text })));
});
