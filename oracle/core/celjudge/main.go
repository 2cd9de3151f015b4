// Command celjudge asks cel-go, in the environment that kube-apiserver gives it, what it makes of expressions:
//
//	cd oracle/core && go run ./celjudge < ../../tests/cel/answers.jsonl > /tmp/answers && mv /tmp/answers ../../tests/cel/answers.jsonl
//
// The first line names variables, their types and their values; every other line holds an expression ("expr") and is answered with its
// type, value or error, what it cost, and what it was estimated to cost.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"regexp"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

type setting struct {
	Variables map[string]string `json:"variables"`
	Values    map[string]any    `json:"values"`
}

type answer struct {
	Expr  string `json:"expr"`
	Issue string `json:"issue,omitempty"`
	Plan  string `json:"plan,omitempty"`
	Type  string `json:"type,omitempty"`
	Error string `json:"error,omitempty"`
	Value string `json:"value,omitempty"`
	Cost  uint64 `json:"cost"`
	Min   uint64 `json:"min"`
	Max   uint64 `json:"max"`
}

var (
	plain = map[string]*cel.Type{"int": cel.IntType, "uint": cel.UintType, "double": cel.DoubleType, "string": cel.StringType,
		"bool": cel.BoolType, "dyn": cel.DynType}
	list = regexp.MustCompile(`^list\((.*)\)$`)
	dict = regexp.MustCompile(`^map\(string, (.*)\)$`)
)

func typeOf(name string) *cel.Type {
	if found := list.FindStringSubmatch(name); found != nil {
		return cel.ListType(typeOf(found[1]))
	}
	if found := dict.FindStringSubmatch(name); found != nil {
		return cel.MapType(cel.StringType, typeOf(found[1]))
	}
	return plain[name]
}

// whole makes integers of the numbers that JSON does not tell from them.
func whole(value any) any {
	switch v := value.(type) {
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	}
	return value
}

func judge(env *cel.Env, expr string, values map[string]any) answer {
	out := answer{Expr: expr}
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		out.Issue = issues.Err().Error()
		return out
	}
	out.Type = ast.OutputType().String()
	if estimate, err := env.EstimateCost(ast, &library.CostEstimator{}); err == nil {
		out.Min, out.Max = estimate.Min, estimate.Max
	}
	program, err := env.Program(ast)
	if err != nil {
		out.Plan = err.Error()
		return out
	}
	value, details, err := program.ContextEval(context.Background(), values)
	if details != nil && details.ActualCost() != nil {
		out.Cost = *details.ActualCost()
	}
	if err != nil {
		out.Error = err.Error()
	} else {
		out.Value = types.Format(value)
	}
	return out
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	base, err := environment.MustBaseEnvSet(version.MajorMinor(1, 36)).Env(environment.StoredExpressions)
	must(err)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	lines.Scan()
	var set setting
	must(json.Unmarshal(lines.Bytes(), &set))
	os.Stdout.WriteString(lines.Text() + "\n")
	var options []cel.EnvOption
	for name, kind := range set.Variables {
		options = append(options, cel.Variable(name, typeOf(kind)))
		set.Values[name] = whole(set.Values[name])
	}
	env, err := base.Extend(options...)
	must(err)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for lines.Scan() {
		var question answer
		must(json.Unmarshal(lines.Bytes(), &question))
		must(answers.Encode(judge(env, question.Expr, set.Values)))
	}
}
