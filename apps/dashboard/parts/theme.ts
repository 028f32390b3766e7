/** Dark or light: what the system prefers, until the user chooses. */
import { signal } from '@preact/signals';
import { say } from './messages.tsx';

export type Theme = 'system' | 'light' | 'dark';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const KEPT_AS = 'agentcom-theme';

export const theme = signal<Theme>('system');
const darkQuery = matchMedia('(prefers-color-scheme: dark)');
/** Whether the page is dark now. */
export const isDark = signal(darkQuery.matches);

function apply(chosen: Theme): void {
  theme.value = chosen;
  document.documentElement.dataset['theme'] = chosen;
  isDark.value = chosen === 'dark' || (chosen === 'system' && darkQuery.matches);
}

export function startTheme(): void {
  apply(THEMES.find((each) => each === readKept()) ?? 'system');
  darkQuery.addEventListener('change', () => apply(theme.value));
}

export function chooseTheme(chosen: Theme): void {
  apply(chosen);
  try {
    localStorage.setItem(KEPT_AS, chosen);
  } catch {
    say('This browser stores nothing for this page: the choice is forgotten when you close it.', 'bad');
  }
}

function readKept(): string | null {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}
