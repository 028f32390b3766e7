/**
 * What the compiler does not see. Layout is Prettier's business, layers are dependency-cruiser's; here is what makes
 * code wrong: promises nobody waits for, swallowed errors, ambient time and chance in core, tests that do not run.
 */
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { agentcomRules } from './test/architecture/lint-rules.mjs';

const port = (name, use) => ({ name, message: `core takes nothing from the machine: ${use}` });

/** Names of the machine that core must not know, each with the port that stands for it. */
const ambientNames = [
  port('process', 'pass the value in, or put it behind a port.'),
  port('require', 'import what core owns; put the outside behind a port.'),
  port('setTimeout', 'use Clock.after.'),
  port('clearTimeout', 'use Timer.cancel, from Clock.after.'),
  port('setInterval', 'use Clock.after, again after each firing.'),
  port('clearInterval', 'use Timer.cancel, from Clock.after.'),
  port('setImmediate', 'use Clock.after(0, …).'),
  port('clearImmediate', 'use Timer.cancel, from Clock.after.'),
  port('queueMicrotask', 'await a promise, or use Clock.after(0, …).'),
  port('console', 'use the Log port.'),
  port('Buffer', 'use strings; bytes belong to an adapter.'),
  port('fetch', 'the network belongs to an adapter.'),
  port('WebSocket', 'use HubTransport or HubLink.'),
  port('crypto', 'use Ids for chance and Digest for hashes.'),
  port('performance', 'use Clock.monotonicMs.'),
];

const ambientProperties = [
  { object: 'Date', property: 'now', message: 'core takes time from the Clock port: Clock.nowMs, or nowMs passed in.' },
  { object: 'Math', property: 'random', message: 'core takes chance from the Ids port: Ids.jitter or Ids.random.' },
];

const ambientSyntax = [
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: 'core takes time from the Clock port: new Date(clock.nowMs()).',
  },
  { selector: "CallExpression[callee.name='Date']", message: 'core takes time from the Clock port: Clock.nowMs.' },
  { selector: 'Decorator', message: 'Wire it in apps/*/modules with toResolvedValue; core knows no container.' },
  {
    selector: ":not(TSTypeQuery, TSQualifiedName) > Identifier[name='globalThis']",
    message: 'core takes nothing from the machine: put it behind a port.',
  },
];

const typed = {
  // A promise that nobody waits for fails where nobody looks. tap itself waits for its subtests.
  '@typescript-eslint/no-floating-promises': [
    'error',
    { allowForKnownSafePromises: [{ from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }] },
  ],
  '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false, properties: false, attributes: false } }],
  '@typescript-eslint/await-thenable': 'error',
  '@typescript-eslint/only-throw-error': 'error',
  '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
};

const plain = {
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false }],
  '@typescript-eslint/no-unused-vars': [
    'error',
    { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'all', ignoreRestSiblings: true },
  ],
  '@typescript-eslint/ban-ts-comment': ['error', { 'ts-expect-error': 'allow-with-description' }],
  eqeqeq: 'error',
  'no-eval': 'error',
  'no-debugger': 'error',
  'no-unsafe-finally': 'error',
  'no-self-compare': 'error',
  'no-unreachable-loop': 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'agentcom/no-swallowed-errors': 'error',
};

export default defineConfig(
  { ignores: ['node_modules/', 'dist/', '.built/', 'data/', '.tap/', 'test/architecture/planted/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  { plugins: { agentcom: { rules: agentcomRules }, '@typescript-eslint': tseslint.plugin } },
  { files: ['**/*.{mjs,cjs,js}'], rules: { ...plain, '@typescript-eslint/consistent-type-imports': 'off' } },
  {
    files: ['**/*.{ts,tsx}'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: { ...plain, ...typed },
  },
  {
    files: ['core/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', ...ambientNames],
      'no-restricted-properties': ['error', ...ambientProperties],
      'no-restricted-syntax': ['error', ...ambientSyntax],
    },
  },
  { files: ['test/**/*.ts'], rules: { 'agentcom/no-skipped-tests': 'error' } },
);
