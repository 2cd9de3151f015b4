// Command rulejudge asks the code of kube-apiserver what it makes of the rules of custom kinds (x-kubernetes-validations):
//
//	cd oracle/core && go run ./rulejudge < ../../tests/cel/rules.jsonl > /tmp/rules && mv /tmp/rules ../../tests/cel/rules.jsonl
//
// A line with "schema" names the schema of the lines below it, and is answered with what each of its rules may cost. A line with "new", and
// "old" for an update, is an object to hold against the rules. A line with "definition" is a schema to make a CustomResourceDefinition of,
// and is answered with what is wrong with it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	rules "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/warning"
)

type line struct {
	Schema     map[string]any `json:"schema,omitempty"`
	Definition map[string]any `json:"definition,omitempty"`
	New        map[string]any `json:"new,omitempty"`
	Old        map[string]any `json:"old,omitempty"`
	Answer     any            `json:"answer"`
}

type causes struct {
	Errors   [][]string `json:"errors"`
	Warnings []string   `json:"warnings,omitempty"`
	Spent    int64      `json:"spent,omitempty"`
}

type recorder struct{ said []string }

func (r *recorder) AddWarning(_, text string) { r.said = append(r.said, text) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func properties(raw map[string]any) *v1.JSONSchemaProps {
	text, err := json.Marshal(raw)
	must(err)
	found := &v1.JSONSchemaProps{}
	must(json.Unmarshal(text, found))
	return found
}

func structural(raw map[string]any) *schema.Structural {
	var internal apiextensions.JSONSchemaProps
	must(v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(properties(raw), &internal, nil))
	found, err := schema.NewStructural(&internal)
	must(err)
	return found
}

func listed(errs field.ErrorList) [][]string {
	found := [][]string{}
	for _, e := range errs {
		found = append(found, []string{e.Field, e.ErrorBody(), string(e.Type)})
	}
	return found
}

// estimates tells of every rule, by its place: its cost, how many values it may be held against, whether it looks at the old value, what
// is wrong with it, the cost of its message and what is wrong with that, and the path that it names.
func estimates(s *schema.Structural, path string, root bool, found map[string]any) {
	if len(s.XValidations) > 0 {
		kind := model.SchemaDeclType(s, root || s.XEmbeddedResource)
		env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
		results, err := rules.Compile(s, kind, celconfig.PerCallLimit, env, rules.NewExpressionsEnvLoader())
		must(err)
		for i, r := range results {
			wrong, wrongMessage := "", ""
			if r.Error != nil {
				wrong = r.Error.Detail
			}
			if r.MessageExpressionError != nil {
				wrongMessage = r.MessageExpressionError.Detail
			}
			found[fmt.Sprintf("%s#%d", path, i)] = []any{r.MaxCost, r.MaxCardinality, r.UsesOldSelf, wrong,
				r.MessageExpressionMaxCost, wrongMessage, r.NormalizedRuleFieldPath}
		}
	}
	for name, property := range s.Properties {
		estimates(&property, path+"."+name, false, found)
	}
	if s.Items != nil {
		estimates(s.Items, path+"[]", false, found)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		estimates(s.AdditionalProperties.Structural, path+"{}", false, found)
	}
}

func judge(s *schema.Structural, now, before map[string]any) causes {
	heard := &recorder{}
	var options []rules.Option
	var old any
	if before != nil {
		old = before
		options = append(options, rules.WithRatcheting(common.NewCorrelatedObject(now, before, &model.Structural{Structural: s})))
	}
	ctx := warning.WithWarningRecorder(context.Background(), heard)
	budget := int64(celconfig.RuntimeCELCostBudget)
	errs, left := rules.NewValidator(s, true, celconfig.PerCallLimit).Validate(ctx, nil, s, now, old, budget, options...)
	return causes{listed(errs), heard.said, budget - left}
}

func define(raw map[string]any) causes {
	definition := &v1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "foos.example.com"},
		Spec: v1.CustomResourceDefinitionSpec{
			Group: "example.com",
			Scope: v1.NamespaceScoped,
			Names: v1.CustomResourceDefinitionNames{Plural: "foos", Singular: "foo", Kind: "Foo", ListKind: "FooList"},
			Versions: []v1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
				Schema: &v1.CustomResourceValidation{OpenAPIV3Schema: properties(raw)}}},
		},
		Status: v1.CustomResourceDefinitionStatus{StoredVersions: []string{"v1"}},
	}
	v1.SetDefaults_CustomResourceDefinition(definition)
	v1.SetDefaults_CustomResourceDefinitionSpec(&definition.Spec)
	var internal apiextensions.CustomResourceDefinition
	must(v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(definition, &internal, nil))
	return causes{Errors: listed(validation.ValidateCustomResourceDefinition(context.Background(), &internal))}
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	var current *schema.Structural
	for {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		must(err)
		var asked line
		must(json.Unmarshal(text, &asked))
		switch {
		case asked.Schema != nil:
			current = structural(asked.Schema)
			found := map[string]any{}
			estimates(current, "", true, found)
			asked.Answer = found
		case asked.Definition != nil:
			asked.Answer = define(asked.Definition)
		default:
			asked.Answer = judge(current, asked.New, asked.Old)
		}
		answered, err := json.Marshal(asked)
		must(err)
		out.Write(append(answered, '\n'))
	}
}
