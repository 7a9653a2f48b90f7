"use strict";
/* What all pages share: data that is loaded as scripts, because a page in a folder may not fetch; helpers. */

const toolbox = (() => {
  const waiting = new Map();

  /* A script of data calls this with its name and its value. */
  function take(name, value) {
    waiting.get(name).resolve(value);
  }

  /* The data of that name, loaded once. */
  function load(name) {
    if (!waiting.has(name)) {
      const entry = {};
      entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
      waiting.set(name, entry);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => entry.reject(new Error(`data/${name}.js is not in this folder`));
      document.head.append(script);
    }
    return waiting.get(name).promise;
  }

  /* Numbers that were packed as base64. */
  function numbers(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  /* An element with its attributes and children; `on...` adds a listener. */
  function element(kind, attributes = {}, ...children) {
    const made = document.createElement(kind);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "text") made.textContent = value;
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  /* Light or dark: the system's choice, until the button chooses. */
  function theme() {
    const root = document.documentElement;
    const stored = () => {
      try {
        return localStorage.getItem("theme");
      } catch {
        return null;
      }
    };
    const isDark = () =>
      (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    if (stored()) root.dataset.theme = stored();
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = isDark() ? "Light" : "Dark";
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        /* a folder may have no storage */
      }
      label();
    });
    label();
  }

  const digits = (value, count = 2) => value.toFixed(count).replace("-", "\u2212");

  document.addEventListener("DOMContentLoaded", theme);
  return { take, load, numbers, element, digits };
})();
