/** The agent programs under test, how each is pointed to the fake model, and known facts about each. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentProgram, Price } from './real-program.ts';
import type { Otherwise } from './answers.ts';
import type { NpmProgram } from './install.ts';
import * as settings from './program-settings.ts';

const { CLAUDE_MODEL, CODEX_MODEL, MODEL, PRICE, claudeEnvironment, environment, geminiEnvironment, opencodeConfig, opencodeEnvironment } =
  settings;

const CLAUDE: NpmProgram = { package: '@anthropic-ai/claude-code', version: '2.1.328', bin: 'claude' };
const CODEX: NpmProgram = { package: '@openai/codex', version: '0.169.0', bin: 'codex' };
const GEMINI: NpmProgram = { package: '@google/gemini-cli', version: '0.61.0', bin: 'gemini' };
const OPENCODE: NpmProgram = { package: 'opencode-ai', version: '1.18.33', bin: 'opencode' };
/** It refuses older versions, at install and at start. */
const NODE_OF_OPENCLAW: NpmProgram = { package: 'node', version: '24.21.0', bin: 'node' };
const OPENCLAW: NpmProgram = { package: 'openclaw', version: '2026.9.6', bin: 'openclaw', node: NODE_OF_OPENCLAW };
const CLAUDE_ACP: NpmProgram = {
  package: '@agentclientprotocol/claude-agent-acp',
  version: '0.100.0',
  bin: 'claude-agent-acp',
  tellsNoVersion: true,
};
const CODEX_ACP: NpmProgram = { package: '@agentclientprotocol/codex-acp', version: '2.6.0', bin: 'codex-acp', tellsNoVersion: true };

const priceOfClaude = (model: string): Price =>
  model.includes('haiku') ? { input: 1, cached: 0.1, output: 5 } : { input: 3, cached: 0.3, output: 15 };

const WORDLESS_REFUSAL: Otherwise = {
  cause: 'no_result',
  end: 'tried again',
  why: 'it omits the text of a refusal, and nothing is left',
};
const CUT_UNTOLD: Otherwise = { end: 'completed', why: 'it does not report that the answer was truncated' };
const FILTER_UNTOLD: Otherwise = {
  cause: 'agent_failed',
  end: 'tried again',
  why: 'it reports only that the stream of its model has ended, not that the answer was filtered',
};
const WORDLESS_FILTER: Otherwise = {
  cause: 'no_result',
  end: 'tried again',
  why: 'it ends its turn without any output',
};
const STATUS_UNTOLD: Otherwise = { cause: 'agent_failed', end: 'tried again', why: 'it reports the text of its service, but no status' };
const NOT_ADOPTABLE = 'it is driven by pipes, which end with the sidecar';

export const PROGRAMS: readonly AgentProgram[] = [
  {
    name: 'claude-code',
    npm: CLAUDE,
    wake(place) {
      const { file, cwd, key } = place;
      const env = claudeEnvironment(place, key);
      return Promise.resolve(['claudeCode', { bin: file, cwd, model: CLAUDE_MODEL, permissions: 'full', session: 'resume', env }]);
    },
    ownSettings: settings.ownClaudeSettings,
    brokenSettings: settings.brokenClaudeSettings,
    keepsFilesOut: settings.claudeWithoutFiles,
    sessions: '.claude/projects',
    usageOf: 'all',
    price: priceOfClaude,
    background: ['shell', 'subagent'],
    tellsUsageEarly: true,
    tellsWhetherItWorked: true,
    triesOnAfter: [],
    tellsRetries: true,
    idleMs: 15_000,
  },
  {
    name: 'codex',
    npm: CODEX,
    wake(place) {
      const { file, cwd, key, modelUrl } = place;
      const provider = `{name="fake",base_url="${modelUrl}/v1",env_key="CODEX_API_KEY",wire_api="responses",request_max_retries=1,stream_max_retries=1}`;
      const extraArgs = ['-c', 'model_provider="fake"', '-c', `model_providers.fake=${provider}`];
      const env = { ...environment(place), CODEX_API_KEY: key };
      return Promise.resolve(['codex', { bin: file, cwd, model: CODEX_MODEL, permissions: 'full', session: 'resume', extraArgs, env }]);
    },
    ownSettings: settings.ownCodexSettings,
    brokenSettings: settings.brokenCodexSettings,
    sessions: '.codex/sessions',
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [],
    tellsRetries: true,
    otherwise: { refused: WORDLESS_REFUSAL },
    idleMs: 15_000,
  },
  {
    name: 'gemini',
    npm: GEMINI,
    async wake(place) {
      const env = await geminiEnvironment(place);
      return ['gemini', { bin: place.file, cwd: place.cwd, model: 'gemini-2.5-flash', permissions: 'full', session: 'resume', env }];
    },
    ownSettings: settings.ownGeminiSettings,
    brokenSettings: settings.brokenGeminiSettings,
    keepsFilesOut: settings.withGeminiignore,
    sessions: '.gemini/tmp',
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: ['429', '500', '503', '529', 'credit'],
    tellsRetries: true,
    otherwise: { truncated: CUT_UNTOLD, filtered: FILTER_UNTOLD },
    idleMs: 20_000,
  },
  {
    name: 'opencode',
    npm: OPENCODE,
    wake(place) {
      const options = { bin: place.file, cwd: place.cwd, model: `fake/${MODEL}`, permissions: 'full', session: 'resume' };
      return Promise.resolve(['opencode', { ...options, config: opencodeConfig(place), env: opencodeEnvironment(place) }]);
    },
    ownSettings: settings.ownOpencodeSettings,
    brokenSettings: settings.brokenOpencodeSettings,
    sessions: '.local/share/opencode',
    usageOf: 'work',
    price: () => PRICE,
    compacts: true,
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: ['500', '503', '529', 'cut'],
    tellsRetries: false,
    otherwise: { refused: WORDLESS_REFUSAL },
    idleMs: 30_000,
  },
  {
    name: 'openclaw',
    npm: OPENCLAW,
    async wake(place) {
      const { file, cwd, home } = place;
      const configFile = join(home, 'openclaw.json');
      await writeFile(configFile, settings.openclawConfig(place));
      return ['openclaw', { bin: file, cwd, configFile, model: `fake/${MODEL}`, env: environment(place) }];
    },
    ownSettings: settings.ownOpenclawSettings,
    brokenSettings: settings.brokenOpenclawSettings,
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: false,
    price: () => PRICE,
    noiseIsLife: 'it prints nothing else while it works',
    otherwise: {
      '413': { cause: 'agent_failed', why: 'it says only that the request was rejected' },
      refused: { end: 'completed', why: 'it reports the text of a refusal like any answer' },
      empty: { end: 'given up', why: 'it does not report whether a tool has run, so one may have' },
    },
    triesOnAfter: ['429', '500', '503', '529'],
    tellsRetries: true,
    idleMs: 120_000,
  },
  {
    name: 'acp-gemini',
    npm: GEMINI,
    async wake(place) {
      const env = await geminiEnvironment(place);
      const options = { agent: 'gemini', bin: place.file, cwd: place.cwd, model: 'gemini-2.5-flash' };
      return ['acp', { ...options, onPermission: 'allow-once', session: 'resume', env }];
    },
    ownSettings: settings.ownGeminiSettings,
    brokenSettings: settings.brokenGeminiSettings,
    keepsFilesOut: settings.withGeminiignore,
    sessions: '.gemini/tmp',
    leavesOutThinking: true,
    otherwise: { truncated: CUT_UNTOLD, refused: WORDLESS_REFUSAL, filtered: WORDLESS_FILTER },
    losesFreshSessions: 'it does not find a session that was begun in the same minute, and starts a new one instead',
    notAdoptable: NOT_ADOPTABLE,
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: ['429', '500', '503', '529', 'credit'],
    tellsRetries: false,
    idleMs: 20_000,
  },
  {
    name: 'acp-opencode',
    npm: OPENCODE,
    wake(place) {
      const env = {
        ...opencodeEnvironment(place),
        OPENCODE_CONFIG_CONTENT: JSON.stringify({ autoupdate: false, ...opencodeConfig(place) }),
      };
      const options = { agent: 'opencode', bin: place.file, cwd: place.cwd, model: `fake/${MODEL}` };
      return Promise.resolve(['acp', { ...options, onPermission: 'allow-once', session: 'resume', env }]);
    },
    brokenSettings: settings.brokenOpencodeSettings,
    sessions: '.local/share/opencode',
    notAdoptable: NOT_ADOPTABLE,
    usageOf: 'nothing',
    price: () => PRICE,
    otherwise: {
      '400': STATUS_UNTOLD,
      '402': STATUS_UNTOLD,
      '403': STATUS_UNTOLD,
      '422': STATUS_UNTOLD,
      credit: { cause: 'rate_limited', why: 'it reports no code, and Google uses the same text for an exhausted rate' },
      truncated: CUT_UNTOLD,
      refused: WORDLESS_REFUSAL,
    },
    compacts: true,
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: ['500', '503', '529', 'cut'],
    tellsRetries: false,
    idleMs: 30_000,
  },
  {
    name: 'acp-claude',
    npm: CLAUDE_ACP,
    wake(place) {
      const { file, cwd, key } = place;
      const env = claudeEnvironment(place, key);
      return Promise.resolve(['acp', { agent: 'claude', bin: file, cwd, onPermission: 'allow-once', session: 'resume', env }]);
    },
    ownSettings: settings.ownClaudeSettings,
    brokenSettings: settings.brokenClaudeSettings,
    keepsFilesOut: settings.claudeWithoutFiles,
    sessions: '.claude/projects',
    notAdoptable: NOT_ADOPTABLE,
    usageOf: 'work',
    dollarsOf: 'all',
    countsLess: 'it reports the tokens of its own calls in this prompt, and the cost of all calls that have ended',
    price: priceOfClaude,
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [],
    tellsRetries: false,
    background: ['subagent'],
    forgetsBackground: 'its turn ends while one of its shells is still running, and nothing reports that shell',
    idleMs: 20_000,
  },
  {
    name: 'acp-codex',
    npm: CODEX_ACP,
    async wake(place) {
      const { file, cwd, key, modelUrl } = place;
      await settings.writeCodexConfig(place, settings.codexConfig(modelUrl, 'CODEX_API_KEY'));
      const env = { ...environment(place), CODEX_API_KEY: key };
      return ['acp', { agent: 'codex', bin: file, cwd, onPermission: 'allow-once', session: 'resume', env }];
    },
    sessions: '.codex/sessions',
    notAdoptable: NOT_ADOPTABLE,
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [],
    tellsRetries: true,
    otherwise: { refused: WORDLESS_REFUSAL },
    idleMs: 20_000,
  },
];
