// Runs before anything is drawn: the chosen theme, and a plain word where the browser is too old for the page.
(function () {
  var theme = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  try {
    var chosen = localStorage.getItem('cutaway-theme');
    if (chosen === 'light' || chosen === 'dark') theme = chosen;
  } catch (refused) {
    // storage may be switched off; the system's theme is used then
  }
  document.documentElement.dataset.theme = theme;
  var missing = [];
  if (!('noModule' in document.createElement('script'))) missing.push('JavaScript modules');
  if (!window.structuredClone) missing.push('structuredClone');
  if (!window.ResizeObserver) missing.push('ResizeObserver');
  if (!window.EventSource) missing.push('server-sent events');
  if (!window.BigInt64Array) missing.push('64-bit arrays');
  if (!(window.CSS && CSS.supports && CSS.supports('color', 'color-mix(in srgb, red, blue)'))) missing.push('color-mix');
  if (missing.length) {
    document.addEventListener('DOMContentLoaded', function () {
      var said = document.createElement('p');
      said.setAttribute('role', 'alert');
      said.className = 'too-old';
      said.textContent =
        'This browser lacks ' + missing.join(', ') + ', which the lab needs. Please open this address in a current Firefox, Chrome, Edge or Safari.';
      document.body.insertBefore(said, document.body.firstChild);
    });
  }
})();
