//go:build !race

package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// desk is an asynq queue: who puts tasks into it, looks at it, and notes what was done.
type desk struct {
	t       *testing.T
	c       *redis.Client
	client  *asynq.Client
	inspect *asynq.Inspector

	mu   sync.Mutex
	done []string       // payloads of the tasks that were done, in order
	runs map[string]int // how often each was begun
}

func newDesk(t *testing.T, p *process) *desk {
	d := &desk{t: t, c: goRedis(t, p), runs: map[string]int{}}
	d.client, d.inspect = asynq.NewClientFromRedisClient(d.c), asynq.NewInspectorFromRedisClient(d.c)
	return d
}

// begin counts a run of a task and returns how many there were.
func (d *desk) begin(task *asynq.Task) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[string(task.Payload())]++
	return d.runs[string(task.Payload())]
}

// finish notes a task that was done.
func (d *desk) finish(task *asynq.Task) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, string(task.Payload()))
	return nil
}

// finished waits until so many tasks are done, and returns what is.
func (d *desk) finished(n int) []string {
	d.t.Helper()
	var done []string
	eventually(d.t, fmt.Sprint(n, " tasks are done"), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		done = slices.Clone(d.done)
		return len(done) >= n
	})
	return done
}

// add puts a task into the queue.
func (d *desk) add(kind, payload string, options ...asynq.Option) *asynq.TaskInfo {
	d.t.Helper()
	info, err := d.client.Enqueue(asynq.NewTask(kind, []byte(payload)), options...)
	if err != nil {
		d.t.Fatal(kind, payload, err)
	}
	return info
}

// work starts a server of the library, which ends with the test.
func (d *desk) work(handler asynq.HandlerFunc, change ...func(*asynq.Config)) *asynq.Server {
	d.t.Helper()
	config := asynq.Config{
		Concurrency: 4, Queues: map[string]int{"default": 1, "critical": 5, "low": 1}, StrictPriority: true,
		TaskCheckInterval: 5 * time.Millisecond, DelayedTaskCheckInterval: 5 * time.Millisecond,
		RetryDelayFunc:  func(int, error, *asynq.Task) time.Duration { return time.Millisecond },
		LogLevel:        asynq.FatalLevel,
		ShutdownTimeout: patience, // or what is being noted as done would be done again
	}
	for _, f := range change {
		f(&config)
	}
	server := asynq.NewServerFromRedisClient(d.c, config)
	if err := server.Start(handler); err != nil {
		d.t.Fatal(err)
	}
	return server
}

// state waits until a task is in a state.
func (d *desk) state(info *asynq.TaskInfo, want asynq.TaskState) (got *asynq.TaskInfo) {
	d.t.Helper()
	eventually(d.t, fmt.Sprint(info.ID, " is ", want), func() bool {
		var err error
		got, err = d.inspect.GetTaskInfo(info.Queue, info.ID)
		return err == nil && got.State == want
	})
	return got
}

// TestAsynq: tasks that succeed, fail and are retried, wait, are archived, are there once only, or are cancelled.
func TestAsynq(t *testing.T) {
	t.Parallel()
	d := newDesk(t, startServer(t))
	for i := range 30 {
		d.add("echo", fmt.Sprint("low ", i), asynq.Queue("low"))
		d.add("echo", fmt.Sprint("critical ", i), asynq.Queue("critical"))
	}
	server := d.work(func(_ context.Context, task *asynq.Task) error {
		d.begin(task)
		return d.finish(task)
	}, func(c *asynq.Config) { c.Concurrency = 1 })
	done := d.finished(60)
	server.Shutdown()
	for i, payload := range done {
		if want := fmt.Sprint([]string{"critical ", "low "}[i/30], i%30); payload != want {
			t.Fatalf("task %d is %q, want %q", i, payload, want)
		}
	}
	d.handle(t)
}

// handle has tasks of all kinds handled.
func (d *desk) handle(t *testing.T) {
	cancelled := make(chan error, 1)
	mux := asynq.NewServeMux()
	mux.HandleFunc("result", func(_ context.Context, task *asynq.Task) error {
		_, err := fmt.Fprintf(task.ResultWriter(), "result of %s", task.Payload())
		return err
	})
	mux.HandleFunc("third", func(_ context.Context, task *asynq.Task) error { // the third run succeeds
		if d.begin(task) < 3 {
			return errors.New("not yet")
		}
		return d.finish(task)
	})
	mux.HandleFunc("hopeless", func(_ context.Context, task *asynq.Task) error {
		return fmt.Errorf("there is no %s: %w", task.Payload(), asynq.SkipRetry)
	})
	mux.HandleFunc("endless", func(ctx context.Context, _ *asynq.Task) error {
		<-ctx.Done()
		cancelled <- ctx.Err()
		return ctx.Err()
	})
	mux.HandleFunc("echo", func(_ context.Context, task *asynq.Task) error { return d.finish(task) })
	defer d.work(mux.ProcessTask).Shutdown()

	info := d.add("result", "work", asynq.Retention(time.Hour))
	if got := d.state(info, asynq.TaskStateCompleted); string(got.Result) != "result of work" {
		t.Errorf("the result is %q", got.Result)
	}
	d.state(d.add("third", "try", asynq.MaxRetry(5), asynq.Retention(time.Hour)), asynq.TaskStateCompleted)
	gone := d.state(d.add("third", "give up", asynq.MaxRetry(1), asynq.Retention(time.Hour)), asynq.TaskStateArchived)
	if gone.LastErr != "not yet" || gone.Retried != 1 {
		t.Errorf("what is archived is %+v", gone)
	}
	if err := d.inspect.RunTask(gone.Queue, gone.ID); err != nil {
		t.Error(err)
	}
	d.state(gone, asynq.TaskStateCompleted)
	if got := d.state(d.add("hopeless", "way"), asynq.TaskStateArchived); got.Retried != 0 ||
		!strings.HasPrefix(got.LastErr, "there is no way") {
		t.Errorf("what is not retried is %+v", got)
	}

	before := time.Now()
	later := d.add("echo", "later", asynq.ProcessIn(1100*time.Millisecond), asynq.Retention(time.Hour))
	if later.State != asynq.TaskStateScheduled {
		t.Errorf("what is scheduled is %v", later.State)
	}
	// The library leaves away fractions of seconds.
	if d.state(later, asynq.TaskStateCompleted); time.Since(before) < 100*time.Millisecond {
		t.Errorf("it was done after %v", time.Since(before))
	}
	d.once(t)

	info = d.add("endless", "x", asynq.MaxRetry(0))
	d.state(info, asynq.TaskStateActive)
	eventually(t, "it is cancelled", func() bool {
		if err := d.inspect.CancelProcessing(info.ID); err != nil {
			t.Fatal(err)
		}
		return len(cancelled) > 0
	})
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	d.state(info, asynq.TaskStateArchived)
}

// once adds tasks that must be there once only, while the queue is paused.
func (d *desk) once(t *testing.T) {
	if err := d.inspect.PauseQueue("default"); err != nil {
		t.Fatal(err)
	}
	unique := asynq.NewTask("echo", []byte("unique"))
	first := must(d.client.Enqueue(unique, asynq.Unique(time.Hour)))
	if _, err := d.client.Enqueue(unique, asynq.Unique(time.Hour)); !errors.Is(err, asynq.ErrDuplicateTask) {
		t.Errorf("the same once more is %v", err)
	}
	d.add("echo", "named", asynq.TaskID("name"))
	_, err := d.client.Enqueue(asynq.NewTask("echo", nil), asynq.TaskID("name"))
	if !errors.Is(err, asynq.ErrTaskIDConflict) {
		t.Errorf("another of the same ID is %v", err)
	}
	d.add("echo", "deleted", asynq.TaskID("deleted"))
	if err := d.inspect.DeleteTask("default", "deleted"); err != nil {
		t.Error(err)
	}
	queue := must(d.inspect.GetQueueInfo("default"))
	if !queue.Paused || queue.Pending != 2 || queue.Archived != 1 || queue.Completed != 4 || queue.MemoryUsage <= 0 {
		t.Errorf("the queue is %+v", queue)
	}
	list := must(d.inspect.ListPendingTasks("default"))
	if len(list) != 2 || list[0].ID != first.ID || list[1].ID != "name" {
		t.Errorf("there are %+v and more", list[0])
	}
	n := len(d.finished(0))
	if err := d.inspect.UnpauseQueue("default"); err != nil {
		t.Fatal(err)
	}
	done := d.finished(n + 2)[n:]
	if slices.Sort(done); fmt.Sprint(done) != "[named unique]" {
		t.Errorf("%v were done", done)
	}
	eventually(t, "it may be there again", func() bool {
		_, err := d.client.Enqueue(unique, asynq.Unique(time.Hour))
		return err == nil
	})
	d.finished(n + 3)
}

// TestAsynqPeriodic: tasks that a scheduler adds every second, and groups of tasks that are done as one.
func TestAsynqPeriodic(t *testing.T) {
	t.Parallel()
	d := newDesk(t, startServer(t))
	for i := range 5 { // before somebody gathers those that are there
		d.add("single", fmt.Sprint(i), asynq.Group("letters"))
	}
	defer d.work(func(_ context.Context, task *asynq.Task) error { return d.finish(task) }, func(c *asynq.Config) {
		c.GroupMaxSize, c.GroupGracePeriod = 5, time.Second
		c.GroupAggregator = asynq.GroupAggregatorFunc(func(group string, tasks []*asynq.Task) *asynq.Task {
			var all []string
			for _, task := range tasks {
				all = append(all, string(task.Payload()))
			}
			slices.Sort(all)
			return asynq.NewTask("together", []byte(group+": "+strings.Join(all, " ")))
		})
	}).Shutdown()
	scheduler := asynq.NewSchedulerFromRedisClient(d.c, &asynq.SchedulerOpts{
		LogLevel: asynq.FatalLevel, HeartbeatInterval: 100 * time.Millisecond,
	})
	must(scheduler.Register("@every 1s", asynq.NewTask("periodic", []byte("tick"))))
	if err := scheduler.Start(); err != nil {
		t.Fatal(err)
	}
	defer scheduler.Shutdown()
	var others []string // than ticks
	eventually(t, "all is done", func() bool {
		done := d.finished(0)
		n := len(done)
		others = slices.DeleteFunc(done, func(payload string) bool { return payload == "tick" })
		return len(others) > 0 && n-len(others) >= 2
	})
	if got := fmt.Sprintf("%q", others); got != `["letters: 0 1 2 3 4"]` {
		t.Errorf("beside ticks %s were done", got)
	}
	eventually(t, "the scheduler is known", func() bool {
		list, err := d.inspect.SchedulerEntries()
		return err == nil && len(list) == 1 && list[0].Spec == "@every 1s"
	})
}

// TestAsynqThroughKills: what was added is done though the server is killed meanwhile, and what a worker had begun when
// it was lost is taken up by the next one when its lease is over.
func TestAsynqThroughKills(t *testing.T) {
	t.Parallel()
	p, ctx := startServer(t), bounded(t)
	d := newDesk(t, p)
	handler := func(_ context.Context, task *asynq.Task) error {
		if d.begin(task) == 1 && strings.HasSuffix(string(task.Payload()), "7") {
			return errors.New("the first time fails")
		}
		return d.finish(task)
	}
	var servers []*asynq.Server
	for range 3 {
		servers = append(servers, d.work(handler))
	}
	const tasks = 400
	var adding sync.WaitGroup
	adding.Go(func() {
		for i := 0; i < tasks; {
			options := []asynq.Option{asynq.TaskID(fmt.Sprint("id", i)), asynq.Queue([]string{"default", "low"}[i%2])}
			if i%10 == 3 {
				options = append(options, asynq.ProcessIn(100*time.Millisecond))
			}
			_, err := d.client.Enqueue(asynq.NewTask("x", []byte(fmt.Sprint(i))), options...)
			if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) { // or it was added before the reply was lost
				i++
			}
		}
	})
	for k := range 2 {
		d.finished(tasks * (k + 1) / 4)
		p.restart(syscall.SIGKILL)
	}
	adding.Wait()
	for _, s := range servers {
		s.Shutdown()
	}
	// What is active now has no worker. Its lease is made to have ended long ago.
	for _, queue := range []string{"default", "low"} {
		for _, id := range must(d.c.LRange(ctx, "asynq:{"+queue+"}:active", 0, -1).Result()) {
			must(d.c.ZAdd(ctx, "asynq:{"+queue+"}:lease", redis.Z{Score: 1, Member: id}).Result())
		}
	}
	last := d.work(handler)
	eventually(t, "the queues are empty", func() bool {
		for _, queue := range []string{"default", "low"} {
			if info, err := d.inspect.GetQueueInfo(queue); err != nil || info.Size != 0 {
				return false
			}
		}
		return true
	})
	last.Shutdown()
	done := map[string]int{}
	for _, payload := range d.finished(tasks) {
		done[payload]++
	}
	again := 0
	for i := range tasks {
		switch n := done[fmt.Sprint(i)]; {
		case n == 0:
			t.Errorf("task %d was never done", i)
		case n > 1:
			again++
		}
	}
	// Twice is done what was done when the server went away, by one of 12 workers each time.
	if again > 40 {
		t.Errorf("%d of %d tasks were done more than once", again, tasks)
	}
}
