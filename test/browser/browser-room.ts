/** What the tests in the browser share. */
import type { Browser, Page } from 'playwright-core';
import type { Program, World } from '../apps/app-world.ts';

export interface BrowserRoom {
  readonly world: World;
  readonly browser: Browser;
  /** Where the hub serves the dashboard. */
  readonly origin: string;
  hub: Program;
}

/** Goes to a page of the dashboard. */
export const goTo = (page: Page, { origin }: BrowserRoom, path: string): Promise<unknown> => page.goto(`${origin}/dashboard#/${path}`);

/** The badge with the state of the task or agent that is shown. */
export const badge = (page: Page, word: string) => page.locator('.page-head .badge', { hasText: new RegExp(`^${word}$`) });
