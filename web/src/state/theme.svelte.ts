// Dark or light: the system's choice unless the person made one.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'cutaway-theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

let chosen = $state<Theme>(kept());
let systemIsDark = $state(dark.matches);
const isDark = (): boolean => (chosen === 'system' ? systemIsDark : chosen === 'dark');
dark.addEventListener('change', (event) => {
  systemIsDark = event.matches;
  show();
});

/** Return what the person chose earlier. */
function kept(): Theme {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === 'light' || theme === 'dark' ? theme : 'system';
  } catch {
    return 'system';
  }
}

/** Let the styles follow. */
function show(): void {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
}

export const theme = {
  get chosen(): Theme {
    return chosen;
  },
  /** What is shown; drawings on canvas depend on it. */
  get isDark(): boolean {
    return isDark();
  },
  choose(theme: Theme): void {
    chosen = theme;
    show();
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // storage may be switched off: the choice then lasts as long as the page
    }
  },
};
