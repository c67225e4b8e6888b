// node-redis: both protocols, client-side caching, publish and subscribe, pools, and a server that is killed.
import { createClient, createClientPool, BasicClientSideCache, WatchError, defineScript } from 'redis';
import { ask, assert, gathered, host, port, range, run, test, until } from './harness.mjs';

const connect = async (options = {}) => {
  const client = createClient({ socket: { host, port, reconnectStrategy: 20 }, ...options });
  client.on('error', () => {}); // lost connections are part of the tests; what comes of them is looked at
  return client.connect();
};

for (const RESP of [2, 3]) {
  test(`values in RESP${RESP}`, async () => {
    const redis = await connect({ RESP, database: 5, name: 'a-program' });
    assert.equal(await redis.clientGetName(), 'a-program');
    const info = await redis.clientInfo();
    assert.equal(info.db, 5);
    if (RESP === 3) assert.equal(info.resp, 3);
    assert.match(info.libName ?? '', /^(node-redis)?$/); // Redis 7.0 has none
    assert.equal(await redis.set('k', 'v', { expiration: { type: 'PX', value: 100_000 }, condition: 'NX' }), 'OK');
    assert.equal(await redis.set('k', 'w', { condition: 'NX' }), null);
    assert.equal(await redis.hSet('h', { one: 1, two: '2' }), 2);
    assert.deepEqual({ ...(await redis.hGetAll('h')) }, { one: '1', two: '2' });
    await redis.zAdd('z', [{ value: 'a', score: 1.5 }, { value: 'b', score: Infinity }, { value: 'c', score: -0.25 }]);
    assert.deepEqual(await redis.zRangeWithScores('z', 0, -1), [
      { value: 'c', score: -0.25 }, { value: 'a', score: 1.5 }, { value: 'b', score: Infinity },
    ]);
    assert.equal(await redis.zScore('z', 'a'), 1.5);
    assert.deepEqual(await redis.zmScore('z', ['a', 'none', 'b']), [1.5, null, Infinity]);
    assert.equal(await redis.incrByFloat('f', 10.1), '10.1');
    await redis.sAdd('s', ['x', 'y']);
    assert.deepEqual([...(await redis.sMembers('s'))].sort(), ['x', 'y']);
    assert.equal(await redis.sIsMember('s', 'x'), 1);
    await redis.geoAdd('g', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' });
    const [position] = await redis.geoPos('g', 'Palermo');
    assert.ok(Math.abs(Number(position.longitude) - 13.361389) < 1e-5);
    const config = await redis.configGet(['maxmemory', 'appendonly']);
    assert.deepEqual({ ...config }, { maxmemory: '0', appendonly: 'yes' });
    assert.equal((await redis.commandInfo(['get']))[0].arity, 2);
    await assert.rejects(redis.incr('k'), { message: 'ERR value is not an integer or out of range' });
    assert.equal(await redis.xAdd('x', '5-1', { a: '1', b: '2' }), '5-1');
    const [entry] = await redis.xRange('x', '-', '+');
    assert.deepEqual([entry.id, { ...entry.message }], ['5-1', { a: '1', b: '2' }]);
    await redis.flushDb();
    await redis.close();
  });

  test(`pipelines and transactions in RESP${RESP}`, async () => {
    const redis = await connect({ RESP });
    const got = await Promise.all(range(5000).flatMap((i) => [redis.set(`p${i}`, `${i}`), redis.get(`p${i}`)]));
    assert.deepEqual(got.filter((_, i) => i % 2 === 1), range(5000).map(String));
    const replies = await redis.multi().set('a', '1').incr('a').hSet('ah', 'f', 'v').hGetAll('ah').exec();
    assert.deepEqual([...replies.slice(0, 3), { ...replies[3] }], ['OK', 2, 1, { f: 'v' }]);
    await assert.rejects(redis.multi().incr('a').lPush('a', 'x').exec(), (error) => {
      assert.equal(error.replies[0], 3);
      assert.match(error.replies[1].message, /^WRONGTYPE/);
      return true;
    });
    const other = await connect({ RESP });
    await redis.watch('a');
    await other.set('a', '7');
    await assert.rejects(redis.multi().incr('a').exec(), WatchError);
    assert.equal(await redis.get('a'), '7');
    await redis.flushAll();
    for (const client of [redis, other]) await client.close();
  });
}

test('a pool', async () => {
  const patient = { minimum: 2, maximum: 8, acquireTimeout: 100_000 };
  const pool = await createClientPool({ socket: { host, port }, RESP: 3 }, patient).connect();
  let conflicts = 0;
  const add = (client) => client.watch(['one', 'two']).then(async () => {
    const [one, two] = await client.mGet(['one', 'two']);
    await client.multi().set('one', `${Number(one) + 1}`).set('two', `${Number(two) + 2}`).exec();
  });
  await Promise.all(range(8).map(async () => {
    for (let done = 0; done < 25; ) {
      try {
        await pool.execute(add);
        done++;
      } catch (error) {
        assert.ok(error instanceof WatchError, error);
        conflicts++;
      }
    }
  }));
  assert.deepEqual(await pool.mGet(['one', 'two']), ['200', '400']);
  assert.ok(conflicts > 0, 'nobody was in anybody\'s way');
  const popped = range(6).map(() => pool.blPop('queue', 0)); // each on a connection of its own
  await until('they wait', async () => /blocked_clients:6/.test(await pool.info('clients')));
  for (const i of range(6)) await pool.rPush('queue', `${i}`);
  const elements = (await Promise.all(popped)).map(({ element }) => element);
  assert.deepEqual(elements.sort(), range(6).map(String));
  await pool.close();
});

test('publish and subscribe', async () => {
  const publisher = await connect();
  const subscriber = await connect({ RESP: 3 });
  const [channel, pattern, shard] = [gathered(), gathered(), gathered()];
  await subscriber.subscribe(['news', 'other'], (text, name) => channel.add(`${name} ${text}`));
  await subscriber.pSubscribe('n?ws', (text, name) => pattern.add(`${name} ${text}`));
  await subscriber.sSubscribe('shard', (text, name) => shard.add(`${name} ${text}`));
  for (const i of range(300)) {
    assert.equal(await publisher.publish('news', `${i}`), 2);
    assert.equal(await publisher.sPublish('shard', `${i}`), 1);
    if (i % 50 === 0) assert.equal(await subscriber.ping(), 'PONG'); // RESP3 allows commands meanwhile
  }
  assert.deepEqual(await channel.next(300), range(300).map((i) => `news ${i}`));
  assert.deepEqual(await pattern.next(300), range(300).map((i) => `news ${i}`));
  assert.deepEqual(await shard.next(300), range(300).map((i) => `shard ${i}`));
  assert.equal(await publisher.sendCommand(['CLIENT', 'KILL', 'TYPE', 'pubsub']), 1);
  await until('it has subscribed again', async () => {
    const [numbers, patterns, shards] = [
      await publisher.pubSubNumSub(['news', 'other']), await publisher.pubSubNumPat(),
      await publisher.pubSubShardNumSub(['shard']),
    ];
    return numbers.news === 1 && numbers.other === 1 && patterns === 1 && shards.shard === 1;
  });
  await publisher.publish('other', 'again');
  assert.deepEqual(await channel.next(1), ['other again']);
  await subscriber.unsubscribe(['news', 'other']);
  await subscriber.pUnsubscribe('n?ws');
  await subscriber.sUnsubscribe('shard');
  assert.equal(await publisher.publish('news', 'x'), 0);
  for (const client of [publisher, subscriber]) await client.close();
});

// calls is how often the server has executed a command.
const calls = async (client, name) => {
  const stats = await client.info('commandstats');
  return Number(stats.match(new RegExp(`cmdstat_${name}:calls=(\\d+)`))?.[1] ?? 0);
};

test('client-side caching', async () => {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, recordStats: true });
  const reader = await connect({ RESP: 3, clientSideCache: cache });
  const writer = await connect();
  await writer.mSet(range(50).flatMap((i) => [`c${i}`, '0']));
  const invalidated = gathered();
  cache.on('invalidate', (key) => invalidated.add(String(key)));

  // What isn't written is asked for once.
  const before = await calls(writer, 'get');
  for (const _ of range(20)) {
    const values = await Promise.all(range(50).map((i) => reader.get(`c${i}`)));
    assert.deepEqual(values, range(50).map(() => '0'));
  }
  assert.equal((await calls(writer, 'get')) - before, 50);
  assert.equal(cache.stats().hitCount, 950);

  // What is written, expires or is removed with all else is asked for again.
  for (const [change, value] of [
    [() => writer.set('c1', '1'), '1'], [() => writer.append('c1', '2'), '12'], [() => writer.del('c1'), null],
    [() => writer.multi().set('c0', 'x').rename('c0', 'c1').exec(), 'x'],
    [() => writer.pExpire('c1', 1), null], [() => writer.set('c1', '3'), '3'], [() => writer.flushAll(), null],
  ]) {
    await reader.get('c1');
    await change();
    await until(`c1 is ${value}`, async () => (await reader.get('c1')) === value);
  }
  assert.ok(invalidated.rest().filter((key) => key === 'c1').length >= 6);

  // Numbers only grow, and nobody sees one that is lower than what was seen before, nor an old one for good.
  let going = true;
  const writing = (async () => {
    for (let i = 1; i <= 2000; i++) await writer.set(`n${i % 10}`, `${i}`);
    going = false;
  })();
  const last = range(10).map(() => 0);
  for (let read = 0; going; read++) {
    const key = read % 10;
    const value = Number(await reader.get(`n${key}`));
    assert.ok(value >= last[key], `n${key} was ${last[key]}, and is ${value}`);
    last[key] = value;
    await new Promise(setImmediate); // what is cached needs no turn of the event loop
  }
  await writing;
  for (const key of range(10)) {
    const want = String(key === 0 ? 2000 : 1990 + key);
    await until(`n${key} is ${want}`, async () => (await reader.get(`n${key}`)) === want);
  }

  // Whoever loses the connection forgets what is cached.
  await reader.get('n1');
  await ask('kill');
  await until('the writer is back', () => writer.set('n1', 'new').catch(() => false));
  await until('n1 is new', async () => (await reader.get('n1').catch(() => null)) === 'new');
  await writer.set('n1', 'newer');
  await until('n1 is newer', async () => (await reader.get('n1')) === 'newer');
  for (const client of [reader, writer]) await client.close();
});

test('scripts', async () => {
  const add = defineScript({
    NUMBER_OF_KEYS: 1,
    SCRIPT: 'return redis.call("GET", KEYS[1]) + ARGV[1]',
    IS_READ_ONLY: true,
    parseCommand: (parser, key, n) => {
      parser.pushKey(key);
      parser.push(String(n));
    },
    transformReply: (reply) => reply * 10,
  });
  const redis = await connect({ RESP: 3, scripts: { add } });
  await redis.set('n', '2');
  assert.equal(await redis.add('n', 3), 50);
  await redis.scriptFlush();
  assert.equal(await redis.add('n', 4), 60);
  assert.deepEqual(await redis.multi().incr('n').add('n', 1).exec(), [3, 40]);
  const typed = `redis.setresp(3)
    local hash, score = redis.call('HGETALL', KEYS[2]), redis.call('ZSCORE', KEYS[1], 'm')
    return {hash.map.field, score.double > 1, {map = {a = 1}}, {set = {x = true}}, {double = 0.5}, true,
      {big_number = '123456789012345678901'}, {verbatim_string = {format = 'txt', string = 'text'}}}`;
  await redis.zAdd('z', { value: 'm', score: 1.5 });
  await redis.hSet('h', 'field', 'value');
  const [value, more, map, set, half, yes, big, text] = await redis.eval(typed, { keys: ['z', 'h'] });
  assert.deepEqual([value, more, { ...map }, [...set], half, yes, String(big), text],
    ['value', true, { a: 1 }, ['x'], 0.5, true, '123456789012345678901', 'text']);
  await redis.close();
});

test('streams', async () => {
  const redis = await connect({ RESP: 3 });
  await redis.xGroupCreate('jobs', 'g', '$', { MKSTREAM: true });
  const total = 400;
  const done = [];
  const working = range(3).map(async (i) => {
    const client = await connect({ RESP: 2 }); // what it makes of RESP3's reply is not settled
    while (done.length < total) {
      const reply = await client.xReadGroup('g', `c${i}`, { key: 'jobs', id: '>' }, { COUNT: 5, BLOCK: 50 });
      for (const { id, message } of reply?.[0].messages ?? []) {
        done.push(Number(message.n));
        assert.equal(await client.xAck('jobs', 'g', id), 1);
      }
    }
    await client.close();
  });
  for (const i of range(total)) await redis.xAdd('jobs', '*', { n: `${i}` });
  await Promise.all(working);
  assert.deepEqual(done.sort((a, b) => a - b), range(total));
  assert.equal((await redis.xPending('jobs', 'g')).pending, 0);
  const [group] = await redis.xInfoGroups('jobs');
  assert.deepEqual([group.name, group.consumers, group.pending, group.lag], ['g', 3, 0, 0]);
  await redis.close();
});

test('cursors', async () => {
  const redis = await connect({ RESP: 3, database: 6 });
  await Promise.all(range(2000).map((i) => redis.multi().set(`scan:${i}`, `${i}`).hSet('hash', `f${i}`, `${i}`)
    .sAdd('set', `m${i}`).zAdd('zset', { value: `m${i}`, score: i / 2 }).execAsPipeline()));
  const seen = { keys: new Set(), fields: new Set(), members: new Set(), scores: new Map() };
  for await (const keys of redis.scanIterator({ MATCH: 'scan:*', COUNT: 100 })) for (const k of keys) seen.keys.add(k);
  for await (const part of redis.hScanIterator('hash')) for (const { field } of part) seen.fields.add(field);
  for await (const part of redis.sScanIterator('set')) for (const member of part) seen.members.add(member);
  for await (const part of redis.zScanIterator('zset')) for (const m of part) seen.scores.set(m.value, m.score);
  assert.deepEqual([seen.keys.size, seen.fields.size, seen.members.size, seen.scores.size], [2000, 2000, 2000, 2000]);
  assert.equal(seen.scores.get('m7'), 3.5);
  await redis.flushDb();
  await redis.close();
});

await run();
