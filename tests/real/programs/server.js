// node: a map, timers, a promise chain, a worker thread and an HTTP server, all alive across the snapshot.
const fs = require('fs');
const http = require('http');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (!isMainThread) {
	let n = workerData;
	parentPort.on('message', (m) => parentPort.postMessage((n += m)));
} else {
	const say = (text) => fs.appendFileSync(process.argv[2], text + '\n');
	const map = new Map();
	for (let i = 0; i < 200000; i++) map.set('key ' + i, { i, list: [i, i * 2] });
	let ticks = 0;
	setInterval(() => ticks++, 5);
	function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
	const expected = fib(25);
	for (let i = 0; i < 20; i++) fib(20); // hot enough to be compiled
	const worker = new Worker(__filename, { workerData: 40 });
	let answer = null;
	worker.on('message', (m) => { if (answer) answer(m); });
	const ask = (m) => new Promise((resolve) => { answer = resolve; worker.postMessage(m); });
	const server = http.createServer(async (request, response) => {
		const before = ticks;
		await new Promise((resolve) => setTimeout(resolve, 50));
		let wrong = 0;
		for (let i = 0; i < 200000; i++) {
			const v = map.get('key ' + i);
			if (!v || v.i !== i || v.list[1] !== i * 2) wrong++;
		}
		const sum = await ask(2);
		response.setHeader('Connection', 'close');
		response.end(JSON.stringify({ size: map.size, wrong, fib: fib(25) === expected, sum,
			ticking: ticks > before, url: request.url }));
	});
	ask(1).then((sum) => server.listen(0, '127.0.0.1', () => say(`READY ${server.address().port} ${sum}`)));
}
