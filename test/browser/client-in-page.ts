/** `agentcom/client` in a web page of another origin: one that the hub allows, and one that it does not. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import type { Test } from 'tap';
import { bundledForBrowser } from '../apps/client/page-program.ts';
import { runningHub } from '../apps/running-hub.ts';

/** Each flow of the page ends with what it has seen, or with the code of the refusal. */
const PROGRAM = `
import { hubClient } from 'agentcom/client';
const codeOf = (error) => [error.code, error.details?.status ?? error.details?.reason];
globalThis.flows = {
  async work({ url, token }) {
    const hub = hubClient({ url, token });
    const tasks = await Promise.all(['one', 'two', 'three'].map((description) => hub.tasks.submit({ description })));
    const [{ task_id: id }] = tasks;
    const events = [];
    for await (const { event } of hub.tasks.watch(id)) events.push(event);
    const { status, result } = await hub.tasks.wait(id);
    const output = [];
    for await (const { text } of hub.tasks.followOutput(id)) output.push(text);
    return { ids: new Set(tasks.map((task) => task.task_id)).size, events: [events.at(0), events.at(-1)], status, result, output };
  },
  refusals: async ({ url, token }) => [
    await hubClient({ url, token }).tasks.submit({ description: '' }).catch(codeOf),
    await hubClient({ url, token: 'nobody' }).whoami().catch(codeOf),
    await hubClient({ url, token }).tasks.get('task-0000000000000000').catch(codeOf),
  ],
  unreachable: ({ url, token }) => hubClient({ url, token, retryWithinMs: 0 }).whoami().catch(codeOf),
};
document.title = 'ready';
`;

type Flow = 'work' | 'refusals' | 'unreachable';

export async function clientInPage(t: Test, browser: Browser): Promise<void> {
  await t.test('the client works in pages of an allowed origin, and in no others', async (t) => {
    const script = bundledForBrowser(PROGRAM);
    const site = createServer(({ url }, response) => {
      const isScript = url === '/app.js';
      response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' });
      response.end(isScript ? script : '<!doctype html><title>loading</title><script type="module" src="/app.js"></script>');
    });
    await once(site.listen(0, '127.0.0.1'), 'listening');
    t.teardown(() => void site.close(() => site.closeAllConnections()));
    const { port } = site.address() as AddressInfo;
    const hub = await runningHub({ origins: [`http://localhost:${port}`] });
    t.teardown(() => hub.stop());
    const agent = await hub.agent('a1');

    const openedAt = async (origin: string) => {
      const context = await browser.newContext();
      t.teardown(() => context.close());
      const page = await context.newPage();
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      const asked: string[] = [];
      page.on('request', (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
      await page.goto(origin);
      await page.waitForFunction('document.title === "ready"');
      const run = (flow: Flow): Promise<unknown> =>
        page.evaluate(`flows.${flow}(${JSON.stringify({ url: hub.url, token: hub.adminToken })})`);
      return { run, asked, errors };
    };

    const named = await openedAt(`http://localhost:${port}`);
    const work = named.run('work');
    const { task_id, generation } = await agent.frame('task_assign');
    agent.send({ type: 'task_accepted', task_id, generation });
    agent.send({ type: 'task_output', task_id, generation, stream: 'agent', text: 'hälf', seq: 0, dropped: 0 });
    agent.send({ type: 'task_complete', task_id, generation, result: { text: 'done' } });
    t.strictSame(await work, {
      ids: 3,
      events: ['submitted', 'completed'],
      status: 'completed',
      result: { text: 'done' },
      output: ['hälf'],
    });
    t.strictSame(
      named.asked.filter((line) => line.startsWith('POST')),
      ['POST /api/tasks/batch'],
      'simultaneous submits are one request',
    );
    t.strictSame(
      await named.run('refusals'),
      [
        ['AC_API', 400],
        ['AC_API', 401],
        ['AC_API', 404],
      ],
      'the page sees why it was refused',
    );
    t.strictSame(named.errors, []);

    const other = await openedAt(`http://127.0.0.1:${port}`);
    t.strictSame(await other.run('unreachable'), ['AC_API_UNREACHABLE', 'ENETWORK'], 'a page of another origin reads nothing');
    t.strictSame(other.errors, []);
  });
}
