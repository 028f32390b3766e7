/** Debian's Chromium, and pages in it that fail the test if anything goes wrong in them. */
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import type { Test } from 'tap';

const BINARY = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export async function startChromium(): Promise<Browser> {
  if (!existsSync(BINARY)) {
    throw new Error(
      `There is no Chromium at ${BINARY}. Install it with: sudo apt-get install -y --no-install-recommends chromium. Or set CHROMIUM to another.`,
    );
  }
  // The sandbox of Chromium does not start for root.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: BINARY, args: [...args, '--enable-precise-memory-info', '--js-flags=--expose-gc'] });
}

export interface Watched {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What went wrong in the page so far: errors, violations of its policy, dialogs, requests to other hosts. */
  readonly faults: string[];
}

/** Console lines that Chromium writes by itself when the hub is unreachable or refuses. */
const EXPECTED = /Failed to load resource|net::ERR_/;

/** Text, because it runs in the page. */
const THROW_VIOLATIONS = `document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
  throw new Error('policy: ' + violatedDirective + ' ' + blockedURI);
});`;

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: 'light' | 'dark';
}

/** A page with its own session. At the end of the test it must have had no fault. */
export async function watchedPage(
  t: Pick<Test, 'teardown'>,
  browser: Browser,
  origin: string,
  options: PageOptions = {},
): Promise<Watched> {
  const { width = 1_280, height = 800, theme = 'light' } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
  t.teardown(() => context.close());
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.stack}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !EXPECTED.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith('data:')) faults.push(`request to ${url}`);
  });
  await page.addInitScript({ content: THROW_VIOLATIONS });
  return { context, page, faults };
}

/** Signs in on the page of the hub. */
export async function signIn(page: Page, origin: string, token: string): Promise<void> {
  await page.goto(`${origin}/dashboard`);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
}
