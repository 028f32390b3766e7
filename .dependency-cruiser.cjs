/**
 * The layers, kept by a tool. Each rule's comment tells the offender what to do; each rule has a file in
 * test/architecture/planted/<rule>/ that breaks it, and a test that sees it break.
 *
 * Inside core, `core/domain` knows only itself and each room names what it may use; from outside core nothing comes in
 * but typebox. A rule about the inside of core looks only at `^core/` and typebox, so that one fault trips one rule.
 */

const TYPEBOX = 'node_modules/typebox/';

/** A room of core and the rooms that it may use beside itself. */
const room = (name, from, mayUse, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: `^core/|${TYPEBOX}`, pathNot: mayUse },
});

module.exports = {
  forbidden: [
    {
      name: 'core-is-pure',
      severity: 'error',
      comment: 'core/ imports core/ and typebox only: no other package, no node built-in, no outer folder. Put the outside behind a port.',
      from: { path: '^core/' },
      to: { pathNot: `^core/|${TYPEBOX}` },
    },
    room('domain-knows-domain', '^core/domain/', '^core/domain/', 'Rules know neither ports nor use cases nor schemas; pass values in.'),
    room(
      'ports-speak-domain',
      '^core/ports/',
      '^core/(ports|domain|errors)/',
      'A port is written in domain types, not in frames or use cases.',
    ),
    room('errors-stand-alone', '^core/errors/', '^core/errors/', 'Everybody throws these; they know nobody. Put values into details.'),
    room(
      'protocol-speaks-domain',
      '^core/protocol/',
      `^core/(protocol|domain)/|${TYPEBOX}`,
      'The wire is written in domain words; what to do about a frame is the application.',
    ),
    room(
      'config-names-ports',
      '^core/config/',
      `^core/(config|ports|domain|errors|protocol)/|${TYPEBOX}`,
      'A config chooses ports and numbers; it runs no use case.',
    ),
    room(
      'application-uses-inner',
      '^core/application/',
      `^core/(application|domain|ports|protocol|config|errors)/|${TYPEBOX}`,
      'Use cases stand on these rooms. A new room of core gets a rule of its own and its place here.',
    ),
    {
      name: 'hub-and-sidecar-apart',
      severity: 'error',
      comment: 'The two programs share domain, protocol and ports, never use cases.',
      from: { path: '^core/application/(hub|sidecar)/' },
      to: { path: '^core/application/(hub|sidecar)/', pathNot: '^core/application/$1/' },
    },
    {
      name: 'hub-handlers-below-queue',
      severity: 'error',
      comment: 'A handler changes the batch that it is given. Whatever it needs of the queue or the sessions belongs in the batch.',
      from: { path: '^core/application/hub/(batch|handlers)/' },
      to: { path: '^core/application/hub/', pathNot: '^core/application/hub/(batch|handlers)/' },
    },
    {
      name: 'hub-batch-stands-alone',
      severity: 'error',
      comment: 'The batch is data that handlers change; it calls none of them.',
      from: { path: '^core/application/hub/batch/' },
      to: { path: '^core/application/hub/handlers/' },
    },
    {
      name: 'sidecar-state-stands-alone',
      severity: 'error',
      comment: 'State, inputs and effects are what the other rooms are about; they know none of them.',
      from: { path: '^core/application/sidecar/state/' },
      to: { path: '^core/application/sidecar/', pathNot: '^core/application/sidecar/state/' },
    },
    {
      name: 'sidecar-rooms-point-down',
      severity: 'error',
      comment: 'engine > link > assignment > report, run, health > state: ask for it by an effect, or move the rule down.',
      from: { path: '^core/application/sidecar/(assignment|report|run|health)/' },
      to: { path: '^core/application/sidecar/(engine/|link/|sidecar\\.ts$)' },
    },
    {
      name: 'sidecar-engine-on-top',
      severity: 'error',
      comment: 'The engine calls the handlers; a handler that needs the engine asks by an effect.',
      from: { path: '^core/application/sidecar/link/' },
      to: { path: '^core/application/sidecar/(engine/|sidecar\\.ts$)' },
    },
    {
      name: 'dialects-apart',
      severity: 'error',
      comment: 'What both databases need is beside their folders.',
      from: { path: '^adapters/storage-knex/(sqlite|postgres)/' },
      to: { path: '^adapters/storage-knex/(sqlite|postgres)(/|\\.ts$)', pathNot: '^adapters/storage-knex/$1/' },
    },
    {
      name: 'stores-know-no-dialect',
      severity: 'error',
      comment: 'A store speaks to its engine; the difference between databases is behind that interface.',
      from: { path: '^adapters/storage-knex/(knex-[a-z-]+\\.ts$|cache/|rows/)' },
      to: { path: '^adapters/storage-knex/(sqlite|postgres)(/|\\.ts$)' },
    },
    {
      name: 'adapters-are-islands',
      severity: 'error',
      comment: 'An adapter imports core, its own folder and adapters/kit. What several adapters share goes into the kit.',
      from: { path: '^adapters/([^/]+)/' },
      to: { path: '^(adapters|plugins)/', pathNot: '^adapters/($1|kit)/' },
    },
    {
      name: 'dependencies-point-inward',
      severity: 'error',
      comment: 'Only apps may know apps. Pass what is needed in from the composition root.',
      from: { path: '^(adapters|plugins)/' },
      to: { path: '^apps/' },
    },
    {
      name: 'plugins-see-ports-only',
      severity: 'error',
      comment: 'Write the runner as a third party would: ports, domain types, errors and config types.',
      from: { path: '^plugins/' },
      to: { path: '^(core|adapters)/', pathNot: '^core/(ports|domain|errors|config)/' },
    },
    {
      name: 'plugins-are-islands',
      severity: 'error',
      comment: 'A runner imports its own folder, plugins/plugin.ts and plugins/run-kit/. What all runners share goes into the run kit.',
      from: { path: '^plugins/([^/]+)/' },
      to: { path: '^plugins/', pathNot: '^plugins/(plugin\\.ts$|run-kit/|$1/)' },
    },
    {
      name: 'container-in-composition-only',
      severity: 'error',
      comment: 'Only the hub and sidecar apps wire. Take what you need as an argument of a factory function.',
      from: { pathNot: '^apps/(container-tokens\\.ts$|(hub|sidecar|modules)/)|^test/(apps|chaos|postgres)/' },
      to: { path: 'node_modules/(inversify|@inversifyjs|reflect-metadata)/' },
    },
    {
      name: 'config-through-entries',
      severity: 'error',
      comment: "The example config must also run in a foreign folder: import 'agentcom' and its entries, nothing else.",
      from: { path: '^agentcom\\.config\\.ts$' },
      to: { pathNot: '^(apps/entry/index|adapters/(storages|transports)|plugins/(runners|plugin))\\.ts$' },
    },
    {
      name: 'examples-stand-alone',
      severity: 'error',
      comment: 'An example agent is a stranger: it has its environment and its files, and nothing of this tree.',
      from: { path: '^examples/' },
      to: { path: '^(core|adapters|plugins|apps|test)/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Move the shared type inward.',
      from: {},
      to: { circular: true },
    },
    {
      name: 'dashboard-in-the-browser',
      severity: 'error',
      comment: 'The dashboard runs in a browser: its own files, preact, uPlot, core/domain, types, and apps/client/sse.ts.',
      from: { path: '^apps/dashboard/', pathNot: '^apps/dashboard/(vite\\.config\\.ts|prepare\\.mjs)$' },
      to: {
        pathNot: '^apps/dashboard/|^core/domain/|^apps/client/sse\\.ts$|node_modules/(preact|@preact/signals|uplot)/',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'dashboard-stands-apart',
      severity: 'error',
      comment: 'The dashboard is built into files that the hub serves; nothing else imports it.',
      from: { path: '^(core|adapters|plugins|apps|test|examples)/', pathNot: '^apps/dashboard/' },
      to: { path: '^apps/dashboard/' },
    },
    {
      name: 'not-to-test',
      severity: 'error',
      comment: 'Nothing that runs leans on tests. Shared test code is exported from test/product/testing.ts.',
      from: { path: '^(core|adapters|plugins|apps)/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-unlisted',
      severity: 'error',
      comment: 'The package is there by chance, through another one. List it in package.json.',
      from: { path: '^(core|adapters|plugins|apps|test|examples)/' },
      // The tool takes the key peerDependenciesMeta for a list that it does not know; such a package is listed all the same.
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'no-dev-in-shipped',
      severity: 'error',
      comment:
        'What is installed has no dev dependencies, except those that test/packed/bundle.ts puts into the package. Move the package to dependencies, or the import into a test.',
      from: { path: '^(core|adapters|plugins|apps|test/product)/', pathNot: '^apps/(cli/bin\\.mjs$|dashboard/)' },
      to: {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only', 'npm-peer'],
        pathNot: 'node_modules/(inversify|reflect-metadata)/',
      },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      comment: 'There is no such file or package.',
      from: {},
      // An example with a package.json of its own is another package: this one is not installed in it. A test installs it.
      // uWebSockets.js is optional, here too. The queues that the benchmark compares are installed when it is run.
      to: {
        couldNotResolve: true,
        pathNot:
          '^(agentcom/(storage|transport|plugin|testing)|uWebSockets\\.js|bullmq|ioredis|pg-boss|graphile-worker|plainjob|better-sqlite3)$',
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|data|test/architecture/planted)/' },
    // Type-only imports count: a type is a dependency of the reader, if not of the machine.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    // Without these an import through the package's own name is followed nowhere, and every rule lets it pass.
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['agentcom-source', 'import', 'default'],
      extensions: ['.ts', '.tsx', '.mjs', '.js', '.json'],
    },
  },
};
