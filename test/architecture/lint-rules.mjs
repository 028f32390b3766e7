/** Custom lint rules, for faults that the available rules miss. */

/** `catch {}` with or without a comment, `.catch(() => {})`, `.catch(() => undefined)`: the error is lost for good. */
const noSwallowedErrors = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      swallowed: 'This error is lost. Log it, return it as a value, or rethrow it. If only the end matters: Promise.allSettled([work]).',
    },
  },
  create(context) {
    const isNothing = (body) =>
      body.type === 'BlockStatement' ? body.body.length === 0 : body.type === 'Identifier' && body.name === 'undefined';
    return {
      CatchClause(node) {
        if (isNothing(node.body)) context.report({ node, messageId: 'swallowed' });
      },
      "CallExpression[callee.type='MemberExpression'][callee.property.name='catch']"(node) {
        const [handler] = node.arguments;
        if (handler?.type !== 'ArrowFunctionExpression' && handler?.type !== 'FunctionExpression') return;
        if (isNothing(handler.body)) context.report({ node: handler, messageId: 'swallowed' });
      },
    };
  },
};

const NOT_RUN = new Set(['skip', 'only', 'todo']);

/**
 * `t.only(…)`, `t.skip(…)`, `{ skip: true }`: a test that does not run proves nothing. A skip that depends on a
 * capability or a missing server passes: as an expression (`{ skip: durable ? false : 'keeps nothing' }`), or inside an
 * `if` of the same function.
 */
const noSkippedTests = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      notRun: '".{{word}}" keeps tests from running. Skip only by an expression over a capability: { skip: … ? false : reason }.',
    },
  },
  create(context) {
    const report = (node, word) => context.report({ node, messageId: 'notRun', data: { word } });
    const isConditional = (node) => {
      for (let at = node; at !== null && !/Function/.test(at.type); at = at.parent) if (at.type === 'IfStatement') return true;
      return false;
    };
    return {
      "CallExpression[callee.type='MemberExpression'] > MemberExpression.callee"(node) {
        const onTest = node.object.type === 'Identifier' && /^(t|tap|test|it|describe|suite)$/.test(node.object.name);
        if (onTest && !node.computed && NOT_RUN.has(node.property.name)) report(node, node.property.name);
      },
      'CallExpression > ObjectExpression.arguments > Property'(node) {
        const word = node.key.type === 'Identifier' ? node.key.name : node.key.value;
        if (NOT_RUN.has(word) && node.value.type === 'Literal' && Boolean(node.value.value) && !isConditional(node)) report(node, word);
      },
    };
  },
};

export const agentcomRules = { 'no-swallowed-errors': noSwallowedErrors, 'no-skipped-tests': noSkippedTests };
