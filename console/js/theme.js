// Sets the theme before anything is drawn: the one that was chosen, else that of the system.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('granary.theme');
  } catch {
    // Storage may be forbidden; then it is that of the system.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
