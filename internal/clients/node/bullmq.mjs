// BullMQ: queues whose jobs are delayed, repeated, prioritized, failed, limited in rate and made of others, several
// workers, and a server that is killed.
import { FlowProducer, Queue, QueueEvents, RateLimitError, UnrecoverableError, Worker } from 'bullmq';
import { ask, assert, host, port, range, run, test, until } from './harness.mjs';

const connection = { host, port, retryStrategy: () => 20, maxRetriesPerRequest: null };
const quiet = () => {}; // lost connections are part of the tests; what comes of them is looked at

// bench is a queue, its events, and workers that end with the test.
const bench = async (name, body) => {
  const queue = new Queue(name, { connection });
  const events = new QueueEvents(name, { connection });
  const workers = [];
  for (const one of [queue, events]) one.on('error', quiet);
  await events.waitUntilReady();
  const work = async (processor, options = {}) => {
    const worker = new Worker(name, processor, { connection, drainDelay: 1, runRetryDelay: 20, ...options });
    worker.on('error', quiet);
    workers.push(worker);
    await worker.waitUntilReady();
    return worker;
  };
  await body({ queue, events, work });
  await Promise.all(workers.map((worker) => worker.close()));
  await events.close();
  await queue.obliterate({ force: true });
  await queue.close();
};

const counts = (queue) => queue.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'completed', 'failed', 'paused');

test('several workers', () => bench('several', async ({ queue, events, work }) => {
  const done = new Map();
  for (const id of range(3)) {
    await work(async (job) => {
      assert.ok(!done.has(job.data.n), `job ${job.data.n} is done twice`);
      done.set(job.data.n, id);
      await job.updateProgress(50);
      await job.log(`by ${id}`);
      return { square: job.data.n ** 2 };
    }, { concurrency: 4 });
  }
  const progress = new Set();
  events.on('progress', ({ jobId }) => progress.add(jobId));
  const jobs = await queue.addBulk(range(200).map((n) => ({ name: 'square', data: { n, text: 'ü'.repeat(n) } })));
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  assert.deepEqual(results, range(200).map((n) => ({ square: n ** 2 })));
  assert.equal(done.size, 200);
  assert.ok(new Set(done.values()).size > 1, 'one worker has done it all');
  await until('all progress is told', () => progress.size === 200);
  assert.deepEqual(await counts(queue), {
    wait: 0, active: 0, delayed: 0, prioritized: 0, completed: 200, failed: 0, paused: 0,
  });
  const job = await queue.getJob(jobs[7].id);
  assert.deepEqual([job.data.n, job.progress, job.returnvalue], [7, 50, { square: 49 }]);
  assert.deepEqual((await queue.getJobLogs(job.id)).logs, [`by ${done.get(7)}`]);
  assert.equal((await queue.clean(0, 50, 'completed')).length, 50);
  assert.equal(await queue.getCompletedCount(), 150);
}));

test('order', () => bench('order', async ({ queue, work }) => {
  await queue.pause();
  for (const n of range(4)) await queue.add('plain', `plain ${n}`);
  for (const priority of [3, 1, 2, 1]) await queue.add('first', `priority ${priority}`, { priority });
  await queue.add('last', 'put in front', { lifo: true });
  const [low] = await queue.getPrioritized(3, 3);
  await low.changePriority({ priority: 1 });
  assert.equal((await counts(queue)).paused, 5);
  const done = [];
  await work(async (job) => done.push(job.data));
  assert.deepEqual(done, []);
  await queue.resume();
  await until('all are done', () => done.length === 9);
  assert.deepEqual(done, [
    'put in front', 'plain 0', 'plain 1', 'plain 2', 'plain 3',
    'priority 1', 'priority 1', 'priority 3', 'priority 2',
  ]);
}));

test('delayed', () => bench('delayed', async ({ queue, work }) => {
  const done = [];
  await work(async (job) => done.push([job.data, Date.now() - job.timestamp]));
  // At once: their delays count from when each is made.
  await queue.addBulk([960, 240, 720, 480, 0].map((delay) => ({ name: 'later', data: delay, opts: { delay } })));
  const promoted = await queue.add('now', 'promoted', { delay: 3_600_000 });
  const moved = await queue.add('sooner', 'moved', { delay: 3_600_000 });
  assert.equal((await queue.getDelayed()).length >= 2, true);
  await promoted.promote();
  await moved.changeDelay(1200);
  await until('all are done', () => done.length === 7);
  const order = done.map(([data]) => data).filter((data) => data !== 'promoted');
  assert.deepEqual(order, [0, 240, 480, 720, 960, 'moved']);
  for (const [delay, after] of done) assert.ok(typeof delay === 'string' || after >= delay, `${delay}: after ${after}`);
}));

test('failed', () => bench('failed', async ({ queue, events, work }) => {
  const failures = [];
  events.on('failed', ({ jobId, failedReason }) => failures.push(`${jobId}: ${failedReason}`));
  await work(async (job) => {
    if (job.name === 'hopeless') throw new UnrecoverableError('no way');
    if (job.attemptsMade < job.data.succeeds) throw new Error(`attempt ${job.attemptsMade}`);
    return job.attemptsMade;
  });
  const backoff = { type: 'exponential', delay: 5 };
  const third = await queue.add('third', { succeeds: 2 }, { attempts: 5, backoff });
  assert.equal(await third.waitUntilFinished(events), 2);
  const never = await queue.add('never', { succeeds: 9 }, { jobId: 'never', attempts: 3, backoff: 1 });
  await assert.rejects(never.waitUntilFinished(events), { message: 'attempt 2' });
  const hopeless = await queue.add('hopeless', {}, { jobId: 'hopeless', attempts: 3 });
  await assert.rejects(hopeless.waitUntilFinished(events), { message: 'no way' });
  await until('failures are told', () => failures.length === 2);
  assert.deepEqual(failures, ['never: attempt 2', 'hopeless: no way']);
  const [failed] = (await queue.getFailed()).filter((job) => job.id === 'never');
  assert.deepEqual([failed.attemptsMade, failed.failedReason, failed.stacktrace.length], [3, 'attempt 2', 3]);
  await failed.updateData({ succeeds: 0 });
  await failed.retry('failed');
  await until('it has succeeded', async () => (await failed.getState()) === 'completed');
  assert.equal(await queue.add('third', {}, { jobId: 'never' }).then((job) => job.getState()), 'completed');
  await hopeless.remove();
  assert.equal((await counts(queue)).failed, 0);
}));

test('repeated', () => bench('repeated', async ({ queue, work }) => {
  const done = [];
  await work(async (job) => done.push([job.name, Date.now()]));
  const began = Date.now();
  await queue.upsertJobScheduler('often', { every: 50 }, { name: 'tick', data: { a: 1 } });
  await queue.upsertJobScheduler('thrice', { every: 20, limit: 3 }, { name: 'thrice' });
  await until('it has ticked', () => done.filter(([name]) => name === 'tick').length >= 5);
  await queue.upsertJobScheduler('often', { every: 3_600_000 }, { name: 'tock' });
  const schedulers = await queue.getJobSchedulers();
  assert.equal(schedulers.find(({ key }) => key === 'often').every, 3_600_000);
  assert.equal(await queue.removeJobScheduler('often'), true);
  await until('nothing is left', async () => {
    const { delayed, wait, active } = await counts(queue);
    return delayed + wait + active === 0;
  });
  assert.equal(done.filter(([name]) => name === 'thrice').length, 3);
  const ticks = done.filter(([name]) => name === 'tick').map(([, at]) => at);
  assert.ok(ticks[4] - began >= 140, `five ticks in ${ticks[4] - began} ms`); // the first may be due at once
}));

test('limited in rate', () => bench('limited', async ({ queue, work }) => {
  const began = [];
  const limiter = { max: 5, duration: 150 };
  for (const _ of range(2)) await work(async () => began.push(performance.now()), { limiter, concurrency: 3 });
  const added = performance.now();
  await queue.addBulk(range(20).map((n) => ({ name: 'x', data: n })));
  await until('all are done', () => began.length === 20);
  const took = Math.max(...began) - added;
  assert.ok(took >= 3 * 150 - 10, `all were done in ${took} ms`);
  assert.equal(await queue.getRateLimitTtl(5) >= 0, true);

  // A worker that is told to slow down by what it works with.
  let refusals = 2;
  const worker = await work(async (job) => {
    if (job.name !== 'refused' || refusals-- <= 0) return;
    await worker.rateLimit(30);
    throw new RateLimitError();
  }, { limiter: { max: 100, duration: 1000 } });
  const job = await queue.add('refused', 0);
  await until('it is done', async () => (await job.getState()) === 'completed');
  assert.equal((await queue.getJob(job.id)).attemptsMade, 1);
}));

test('once only', () => bench('once', async ({ queue, events, work }) => {
  const duplicates = [];
  events.on('deduplicated', ({ jobId, deduplicatedJobId }) => duplicates.push([jobId, deduplicatedJobId]));
  await queue.pause();
  const first = await queue.add('x', 1, { deduplication: { id: 'same' } });
  const second = await queue.add('x', 2, { deduplication: { id: 'same' } });
  assert.equal(second.id, first.id);
  await until('it is told', () => duplicates.length === 1);
  const done = [];
  await work(async (job) => done.push(job.data));
  await queue.resume();
  await until('it is done', () => done.length === 1);
  await until('another may come', async () =>
    (await queue.add('x', 3, { deduplication: { id: 'same' } })) && done.length === 2);
}));

test('flows', () => bench('flow', async ({ queue, events, work }) => {
  const flows = new FlowProducer({ connection });
  await work(async (job) => {
    if (job.name === 'leaf') return job.data * 2;
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((a, b) => a + b, 0);
  }, { concurrency: 5 });
  const leaves = (from) => range(10).map((n) => ({ name: 'leaf', queueName: 'flow', data: from + n }));
  const { job } = await flows.add({
    name: 'sum', queueName: 'flow', data: {},
    children: [0, 100, 200].map((from) => ({ name: 'sum', queueName: 'flow', data: {}, children: leaves(from) })),
  });
  assert.equal(await job.waitUntilFinished(events), 2 * (45 * 3 + 3000));
  assert.deepEqual((await job.getDependenciesCount()), { processed: 3, unprocessed: 0, failed: 0, ignored: 0 });
  await flows.close();
}));

test('a lost worker', () => bench('lost', async ({ queue, work }) => {
  const stalled = [];
  let lost = true;
  const processor = async (job) => {
    if (lost) await new Promise(quiet); // for ever
    return job.data;
  };
  const first = await work(processor, { lockDuration: 100, skipLockRenewal: true, skipStalledCheck: true });
  const job = await queue.add('x', 'done');
  await until('it is begun', async () => (await job.getState()) === 'active');
  await first.close(true);
  lost = false;
  const second = await work(processor, { stalledInterval: 50 });
  second.on('stalled', (id) => stalled.push(id));
  await until('it is done', async () => (await job.getState()) === 'completed');
  assert.equal((await queue.getJob(job.id)).stalledCounter, 1);
}));

test('a killed server', () => bench('killed', async ({ queue, work }) => {
  const done = new Map();
  for (const id of range(3)) {
    await work(async (job) => {
      if (job.data % 10 === 3 && job.attemptsMade === 0) throw new Error('the first time fails');
      done.set(job.data, (done.get(job.data) ?? 0) + 1);
      return id;
    }, { concurrency: 3, lockDuration: 300, stalledInterval: 100, maxStalledCount: 20 });
  }
  await queue.upsertJobScheduler('often', { every: 40 }, { name: 'tick', data: -1 });
  let added = 0;
  const adding = (async () => {
    while (added < 400) {
      const options = { jobId: `job-${added}`, attempts: 3, delay: added % 7 === 0 ? 30 : 0 };
      await queue.add('x', added, options).then(() => added++, quiet);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  const jobs = () => done.size - (done.has(-1) ? 1 : 0);
  for (const how of ['kill', 'restart', 'kill']) {
    const before = jobs();
    await until('some are done', () => jobs() >= Math.min(before + 60, 400));
    await ask(how);
  }
  await adding;
  await until('all are done', () => jobs() === 400);
  const ticks = done.get(-1);
  await until('it still ticks', () => done.get(-1) > ticks);
  await queue.removeJobScheduler('often');
  await until('nothing is left', async () => {
    const { wait, active, delayed } = await counts(queue);
    return wait + active + delayed === 0;
  });
  assert.deepEqual(range(400).filter((n) => !done.has(n)), []);
  assert.equal((await counts(queue)).failed, 0);
}));

await run();
